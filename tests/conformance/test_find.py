"""Whole queries: every row of Meteor's own tests."""

from typing import Final

import pytest
from tests.conformance.exceptions import REFUTED_BY_MONGOD
from tests.conformance.rows import Row, for_each, load, passing

from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.projection import Projection
from bolide.core.minimongo.query import run_query
from bolide.core.minimongo.sorter import Sorter
from bolide.core.values import Document, EJSONValue, equals

ROWS: Final = load("find")
FOUND_BY_MONGOD: Final[dict[str, list[EJSONValue]]] = {
    "find:148": [
        {
            "setA": [{"fieldA": 42}, {"fieldA": "the good"}],
            "setB": [{"anotherB": "meh"}, {"anotherB": 431}],
        }
    ],
}


def _find(row: Row) -> list[EJSONValue]:
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
    return [*found]


@for_each(ROWS)
def test_finds_what_meteor_finds(row: Row) -> None:
    with passing(row):
        assert equals(_find(row), row["result"])


@pytest.mark.parametrize("row", [row for row in ROWS if row.key in REFUTED_BY_MONGOD], ids=str)
def test_finds_what_mongod_finds(row: Row) -> None:
    assert equals(_find(row), FOUND_BY_MONGOD[str(row)])
