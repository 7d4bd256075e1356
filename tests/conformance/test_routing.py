"""The index of live queries: it finds every selector of the rows that matches its document."""

import contextlib
from typing import Final

import pytest
from tests.conformance.rows import Row, load

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher
from bolide.server.livequery.routing.router import PredicateIndex

ROWS: Final = {name: load(name) for name in ("match", "fuzz_match")}


@pytest.mark.parametrize("name", ROWS)
def test_what_matches_is_found(name: str) -> None:
    index: PredicateIndex[int] = PredicateIndex()
    matchers: dict[int, Matcher] = {}
    for row in ROWS[name]:
        with contextlib.suppress(MinimongoError):
            matchers[row.number] = Matcher(row["selector"])
            # A selector of a live query is always an object.
            if isinstance(row["selector"], dict):
                index.add(row.number, row["selector"])
    assert len(index) > len(ROWS[name]) / 2
    missed = [row for row in ROWS[name] if row.number in index and _is_missed(row, index, matchers)]
    assert missed == []


def _is_missed(row: Row, index: PredicateIndex[int], matchers: dict[int, Matcher]) -> bool:
    found: dict[int, None] = {}
    index.find(row["doc"], found)
    return row.number not in found and matchers[row.number].matches(row["doc"])
