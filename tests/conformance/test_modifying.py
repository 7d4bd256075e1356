"""Modifiers: every row of Meteor's own tests and of the random ones."""

from datetime import datetime

# The values of rows have any type.
from typing import Any, Final

import pytest
from tests.conformance.rows import Row, load

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.modifier import Modifier, upsert_document
from bolide.core.values import Document, equals

NOW_MS: Final = 1767323045678


def _named(*numbers: int, file: str = "fuzz_modify") -> frozenset[str]:
    return frozenset(f"{file}:{number}" for number in numbers)


# A path is changed twice, or together with a path inside it. MongoDB refuses that as a conflict,
# minimongo lets the later operator win; no handwritten row asks for either, so MongoDB decides
# (mongod 6.0.5 refuses each of these).
CONFLICT: Final = _named(
    *(36, 53, 59, 62, 156, 195, 204, 229, 242, 253, 259, 282, 330, 334, 342, 362, 368, 433, 435),
    *(545, 577, 589, 610, 622, 645, 647, 664, 780, 795, 812, 849, 913, 930, 948, 956, 1075, 1109),
    *(1144, 1161),
)
# minimongo fails on null with an error of JavaScript; MongoDB adds null to the set.
NULL_IN_SET: Final = _named(344)
# minimongo makes a set with the same number twice; MongoDB puts it in once.
TWICE_IN_SET: Final = _named(1169)

ROWS: Final = load("modify") + load("fuzz_modify")
EXCEPTIONS: Final = CONFLICT | NULL_IN_SET | TWICE_IN_SET


def _rows(*, failing: bool) -> list[Row]:
    return [row for row in ROWS if ("error" in row) is failing and str(row) not in EXCEPTIONS]


def _exceptions(names: frozenset[str]) -> list[Row]:
    return [row for row in ROWS if str(row) in names]


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


@pytest.mark.parametrize("row", _rows(failing=False), ids=str)
def test_changes_what_meteor_changes(row: Row) -> None:
    changed: Any = _modify(row)
    expected = row.get("result", {})
    if "result_types" in row:
        changed = {name: _type_name(value) for name, value in changed.items()}
        expected = row["result_types"]
    if "_id" not in expected:
        changed = {name: value for name, value in changed.items() if name != "_id"}
    assert equals(changed, expected)


def _type_name(value: object) -> str:
    return "date" if isinstance(value, datetime) else type(value).__name__


@pytest.mark.parametrize("row", _rows(failing=True), ids=str)
def test_refuses_what_meteor_refuses(row: Row) -> None:
    with pytest.raises(MinimongoError):
        _modify(row)


@pytest.mark.parametrize("row", _exceptions(CONFLICT), ids=str)
def test_paths_in_conflict_are_refused_as_in_mongodb(row: Row) -> None:
    with pytest.raises(MinimongoError, match="cannot change both"):
        _modify(row)


@pytest.mark.parametrize("row", _exceptions(NULL_IN_SET | TWICE_IN_SET), ids=str)
def test_a_set_is_made_as_in_mongodb(row: Row) -> None:
    changed = _modify(row)
    assert changed.get("x") == {"0": [None]} or changed.get("b") == {"0": [1.5]}
