"""The grammar of fields."""

import pytest

from bolide.balancer.heads.errors import HeadError
from bolide.balancer.heads.fields import is_forwarding, options_of, read_fields


def read(head: bytes, max_fields: int = 10) -> list[tuple[bytes, bytes]]:
    return read_fields(head, 0, max_fields=max_fields, status=400)


def test_white_space_around_a_value_is_no_part_of_it() -> None:
    assert read(b"a:b\r\nA: \t b c\t \r\nd:\r\ne: \t\r\n\r\n") == [
        (b"a", b"b"),
        (b"A", b"b c"),
        (b"d", b""),
        (b"e", b""),
    ]


def test_a_head_may_have_no_fields() -> None:
    assert read_fields(b"X\r\n\r\n", 3, max_fields=0, status=400) == []


@pytest.mark.parametrize(
    ("head", "name"),
    [
        (b"a: b\r\n c\r\n\r\n", "folded-field"),
        (b"a : b\r\n\r\n", "field"),
        (b": b\r\n\r\n", "field"),
        (b"a\r\n\r\n", "field"),
        (b"a: \x00\r\n\r\n", "field"),
        (b"a: \x7f\r\n\r\n", "field"),
        ("ä: b\r\n\r\n".encode(), "field"),
        (b"a: b\nc: d\r\n\r\n", "bare-cr-lf"),
        (b"a: b\rc: d\r\n\r\n", "bare-cr-lf"),
        (b"a: b\r\n\r\nc: d\r\n\r\n", "field"),
        (b"a: b\r\n", "no-end"),
    ],
)
def test_what_is_no_field_is_refused(head: bytes, name: str) -> None:
    with pytest.raises(HeadError, match=f"400 {name}"):
        read(head)


def test_too_many_fields_are_refused() -> None:
    assert len(read(b"a: b\r\n" * 10 + b"\r\n")) == 10
    with pytest.raises(HeadError, match="431 fields"):
        read(b"a: b\r\n" * 11 + b"\r\n")
    with pytest.raises(HeadError, match="502 fields"):
        read_fields(b"a: b\r\n" * 11 + b"\r\n", 0, max_fields=10, status=502)


def test_only_proxies_say_forwarding_fields() -> None:
    assert is_forwarding(b"forwarded")
    assert is_forwarding(b"x-forwarded-anything")
    assert not is_forwarding(b"x-forward")
    assert not is_forwarding(b"via")


def test_options_are_tokens() -> None:
    assert options_of(b"Close, ,TE\t", 400) == [b"close", b"te"]
    assert options_of(b"", 400) == []
    with pytest.raises(HeadError, match="400 connection"):
        options_of(b"close; x", 400)
