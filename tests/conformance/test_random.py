"""Seeded streams: every row that Meteor's ``Random`` and ``RandomStream`` gave."""

from tests.conformance.rows import Row, for_each, load, passing

from bolide.core.ddp.random import RandomStream, SeededStreams

ROWS = load("random")


def make_stream(row: Row) -> RandomStream:
    if row["kind"] == "random_stream":
        return SeededStreams(row["seed"]).stream(row["scope"])
    return RandomStream(*row["seeds"])


@for_each(ROWS)
def test_sequence_is_meteors(row: Row) -> None:
    told = set(row) - {"kind", "seed", "seeds", "scope", "note"}
    assert told <= {"ids", "hex20", "fraction", "fractions", "secret"}
    with passing(row):
        for name in told:
            check(row, name)


def check(row: Row, name: str) -> None:
    stream = make_stream(row)
    if name == "ids":
        assert [stream.id(len(id)) for id in row["ids"]] == row["ids"]
    elif name == "secret":
        assert stream.secret() == row["secret"]
    elif name == "fraction":
        # Drawn after the ids, unlike the lists, which each start afresh.
        for id in row["ids"]:
            stream.id(len(id))
        assert stream.fraction() == row["fraction"]
    elif name == "fractions":
        assert [stream.fraction() for _ in row["fractions"]] == row["fractions"]
    else:
        assert [stream.hex(len(digits)) for digits in row["hex20"]] == row["hex20"]
