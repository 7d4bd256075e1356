"""Seeded streams: the same seed and name, the same sequence."""

import pytest

from bolide.core.ddp.random import RandomStream, SeededStreams, random_seed

# The sequences are Meteor's; made with its `Random.createWithSeeds(seed, name)`.
SEED, NAME = "0123456789abcdef0123", "/collection/tasks"


def make_stream() -> RandomStream:
    return SeededStreams(SEED).stream(NAME)


def test_ids_are_those_of_meteors_client() -> None:
    stream = make_stream()
    assert [stream.id(), stream.id(), stream.id(), stream.id(5)] == [
        "devBuvC559TzDB3E9",
        "MjBCWTC6R4Tr5jJ3h",
        "fzSMXGsjyfXN2i5RR",
        "g9fMk",
    ]


def test_other_texts_and_numbers_are_those_of_meteors_client() -> None:
    assert make_stream().hex(20) == "9ae2ee30127f320325b2"
    assert make_stream().secret() == "NO7l57mdeiD_mlcojxUllEDmfBdE2dUtcRP_CwGq3U9"
    assert make_stream().fraction() == 0.6114076923113316


def test_seed_beyond_ascii_is_read_in_utf16_units() -> None:
    assert SeededStreams("é中").stream(NAME).id() == "2ChQoAuRXW8D9v6GY"


def test_numbers_are_seeds_as_javascript_writes_them() -> None:
    assert RandomStream(1).id() == RandomStream(1.0).id() == RandomStream("1").id()
    assert RandomStream(12345, "x").id() == "JYS7smPYNP7MmE8y5"


def test_stream_goes_on_where_it_was_left_and_streams_do_not_disturb_each_other() -> None:
    streams = SeededStreams(SEED)
    first = streams.stream(NAME).id()
    streams.stream("/rpc/addTask").id()
    whole = make_stream()
    assert [first, streams.stream(NAME).id()] == [whole.id(), whole.id()]


def test_choice_takes_every_item_in_the_end() -> None:
    stream = make_stream()
    assert {stream.choice("abc") for _ in range(50)} == set("abc")


def test_seed_is_twenty_hex_digits_of_ten_bytes() -> None:
    assert random_seed(bytes(range(10))) == "00010203040506070809"
    with pytest.raises(ValueError, match="10 random bytes, not 3"):
        random_seed(b"abc")


def test_a_seed_may_be_made_when_the_first_stream_is_asked_for() -> None:
    made: list[str] = []

    def make() -> str:
        made.append("seed")
        return "seed"

    streams = SeededStreams(make)
    assert made == []
    ids = [streams.stream("a").id(), streams.stream("b").id()]
    assert made == ["seed"]
    known = SeededStreams("seed")
    assert ids == [known.stream("a").id(), known.stream("b").id()]


def test_without_a_name_the_default_stream_is_drawn_from() -> None:
    streams, expected = SeededStreams(SEED), SeededStreams(SEED).stream("default")
    assert (streams.id(), streams.hex(8)) == (expected.id(), expected.hex(8))
    assert streams.fraction() == expected.fraction()
