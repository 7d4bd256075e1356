"""Differences of results: their steps rebuild the result, and are few."""

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolide.client.collections.changes import Added, Change, Changed, Moved, Removed
from bolide.client.collections.difference import Row, difference


def rows(text: str, known: dict[str, Row] | None = None) -> list[Row]:
    """Make one row per letter; rows of ``known`` are used again."""
    known = known or {}
    return [known.get(x) or Row(x, x, {"_id": x, "n": 0}) for x in text]


def replay(documents: list[dict[str, Any]], changes: Sequence[Change]) -> list[dict[str, Any]]:
    shown = list(documents)
    for change in changes:
        match change:
            case Added():
                shown.insert(change.index, change.document)
            case Removed():
                assert shown.pop(change.index) == change.document
            case Moved():
                assert shown[change.from_index] == change.document
                shown.insert(change.index, shown.pop(change.from_index))
            case Changed():
                old = shown[change.index]
                kept = {k: v for k, v in old.items() if k not in change.cleared}
                assert {**kept, **change.fields} == change.document
                shown[change.index] = change.document
    return shown


@pytest.mark.parametrize(
    ("before", "after", "kinds"),
    [
        ("", "", []),
        ("abc", "abc", []),
        ("", "ab", [Added, Added]),
        ("ab", "", [Removed, Removed]),
        ("abcd", "bcda", [Moved]),
        ("abcd", "dabc", [Moved]),
        ("abcde", "axcde", [Removed, Added]),
        ("abc", "cab", [Moved]),
        ("abcdef", "afbcde", [Moved]),
        ("abc", "cba", [Moved, Moved]),
    ],
)
def test_steps_are_as_few_as_possible(before: str, after: str, kinds: list[type]) -> None:
    old = rows(before)
    changes = difference(old, rows(after, {row.id: row for row in old}))
    assert [type(change) for change in changes] == kinds


def test_change_names_new_values_and_cleared_fields_only() -> None:
    before = Row("a", "a", {"_id": "a", "bed": 1, "name": "Ada", "old": 1})
    after = Row("a", "a", {"_id": "a", "bed": 2, "name": "Ada", "new": None})
    assert difference([before], [after]) == [
        Changed("a", 0, after.document, {"bed": 2, "new": None}, ("old",))
    ]


def test_document_that_moves_and_changes_tells_both() -> None:
    before = rows("abc")
    after = [*before[1:], Row("a", "a", {"_id": "a", "n": 1})]
    assert difference(before, after) == [
        Moved("a", 0, 2, {"_id": "a", "n": 0}),
        Changed("a", 2, {"_id": "a", "n": 1}, {"n": 1}, ()),
    ]


def test_of_two_rows_that_change_places_the_changed_one_moves() -> None:
    a, b, c = rows("abc")
    for moved in (0, 2):
        before = [a, b, c]
        changed = Row(before[moved].key, before[moved].id, {"_id": before[moved].id, "n": 1})
        after = [b, changed, c] if moved == 0 else [a, changed, b]
        (move, change) = difference(before, after)
        assert isinstance(move, Moved)
        assert isinstance(change, Changed)
        assert move.id == change.id == changed.id


@given(
    before=st.lists(st.sampled_from("abcdefghij"), unique=True),
    after=st.lists(st.sampled_from("abcdefghij"), unique=True),
    touched=st.sets(st.sampled_from("abcdefghij")),
)
def test_steps_rebuild_any_result(before: list[str], after: list[str], touched: set[str]) -> None:
    old = rows("".join(before))
    known = {row.id: row for row in old if row.id not in touched}
    new = [
        Row(row.key, row.id, {"_id": row.id, "n": 1}) if row.id in touched else row
        for row in rows("".join(after), known)
    ]
    changes = difference(old, new)
    assert replay([row.document for row in old], changes) == [row.document for row in new]
