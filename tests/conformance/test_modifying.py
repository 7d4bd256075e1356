"""Modifiers: every row of Meteor's own tests and of the random ones."""

from datetime import datetime

# The values of rows have any type.
from typing import Any, Final

import pytest
from tests.conformance.exceptions import REFUTED_BY_MONGOD
from tests.conformance.rows import Row, for_each, load, passing

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.modifier import Modifier, upsert_document
from bolide.core.values import Document, equals

NOW_MS: Final = 1767323045678


ROWS: Final = load("modify") + load("fuzz_modify")
# What mongod makes where it makes anything; it refuses all other refuted rows.
MADE_BY_MONGOD: Final[dict[str, Document]] = {
    "fuzz_modify:344": {"x": {"0": [None]}},
    "fuzz_modify:1169": {"b": {"0": [1.5]}},
}
REFUTED: Final = [row for row in ROWS if row.key in REFUTED_BY_MONGOD]


def _modify(row: Row) -> Document:
    """Do what minimongo does with a collection of one or no document."""
    modifier = Modifier(row["mod"])
    query = row["query"]
    document: Document = {"_id": "given", **(row["doc"] or {})}
    match = Matcher(query).match(document)
    if row["doc"] is None:
        return upsert_document(query, modifier, now_ms=NOW_MS)
    if "affected" in row:
        assert match.matched is bool(row["affected"])
    if not match:
        return document
    return modifier.apply(document, now_ms=NOW_MS, array_indices=match.array_indices)


# In 135 random rows $pop, $pull, $pullAll or $rename cannot follow their path: it leads through a
# value without fields, or by a name through an array. minimongo does nothing then, mongod 6.0.5
# answers with error 28, so that either would do. Doing nothing is what the rows and apps know.
@for_each([row for row in ROWS if "error" not in row])
def test_changes_what_meteor_changes(row: Row) -> None:
    with passing(row):
        changed: Any = _modify(row)
        expected = row.get("result", {})
        if "result_types" in row:
            changed = {name: _type_name(value) for name, value in changed.items()}
            expected = row["result_types"]
        if "_id" not in expected:
            changed = _without_id(changed)
        assert equals(changed, expected)


def _without_id(document: Document) -> Document:
    return {name: value for name, value in document.items() if name != "_id"}


def _type_name(value: object) -> str:
    return "date" if isinstance(value, datetime) else type(value).__name__


@for_each([row for row in ROWS if "error" in row])
def test_refuses_what_meteor_refuses(row: Row) -> None:
    with passing(row), pytest.raises(MinimongoError):
        _modify(row)


@pytest.mark.parametrize("row", [row for row in REFUTED if str(row) in MADE_BY_MONGOD], ids=str)
def test_makes_the_set_that_mongod_makes(row: Row) -> None:
    changed = _modify(row)
    for name, made in MADE_BY_MONGOD[str(row)].items():
        assert equals(changed[name], made)


@pytest.mark.parametrize("row", [row for row in REFUTED if str(row) not in MADE_BY_MONGOD], ids=str)
def test_paths_in_conflict_are_refused_as_in_mongod(row: Row) -> None:
    with pytest.raises(MinimongoError, match="cannot change both"):
        _modify(row)
