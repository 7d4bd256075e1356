"""Whole queries: every row of Meteor's own tests."""

from typing import Final

import pytest
from tests.conformance.rows import Row, load

from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.projection import Projection
from bolide.core.minimongo.query import run_query
from bolide.core.minimongo.sorter import Sorter
from bolide.core.values import Document, equals

ROWS: Final = load("find")

# An inclusion below an array element that is no document: MongoDB leaves the element out, minimongo
# shows null in its place. The row is no assertion of Meteor's authors, so MongoDB decides, since
# the same projection runs there as well.
RESULTS: Final[dict[str, list[Document]]] = {
    "find:148": [
        {
            "setA": [{"fieldA": 42}, {"fieldA": "the good"}],
            "setB": [{"anotherB": "meh"}, {"anotherB": 431}],
        }
    ],
}


@pytest.mark.parametrize("row", ROWS, ids=str)
def test_finds_what_meteor_finds(row: Row) -> None:
    options: Document = row["options"]
    assert options.keys() <= {"sort", "skip", "limit", "projection"}
    sort = options.get("sort")
    found = run_query(
        row["docs"],
        matcher=Matcher(row["selector"]),
        sorter=None if sort is None else Sorter(sort),
        skip=options.get("skip", 0),
        limit=options.get("limit", 0),
        projection=Projection(options.get("projection")),
    )
    expected: list[Document] = RESULTS.get(str(row)) or row["result"]
    assert len(found) == len(expected)
    assert all(map(equals, found, expected))
