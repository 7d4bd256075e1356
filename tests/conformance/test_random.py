"""Seeded streams: every row that Meteor's ``Random`` and ``RandomStream`` gave."""

import pytest
from tests.conformance.rows import Row, load

from bolide.core.ddp.random import RandomStream, SeededStreams

ROWS = load("random")


def make_stream(row: Row) -> RandomStream:
    if row["kind"] == "random_stream":
        return SeededStreams(row["seed"]).stream(row["scope"])
    return RandomStream(*row["seeds"])


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_sequence_is_meteors(row: Row) -> None:
    told = set(row) - {"kind", "seed", "seeds", "scope", "note"}
    assert told <= {"ids", "hex20", "fraction", "fractions", "secret"}
    for name in told:
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
