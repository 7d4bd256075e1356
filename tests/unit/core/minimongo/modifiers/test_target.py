# Documents hold values of any type.
from typing import Any

import pytest

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.modifiers.target import MAX_PADDING, Target
from bolide.core.values import UNDEFINED, Document


def _set(path: str, document: Document, array_index: int | None = None) -> Document:
    return Target.parse("$set", path).rewrite(document, lambda old: "new", array_index)


def _unset(path: str, document: Document) -> Document:
    target = Target.parse("$unset", path, creates=False)
    return target.rewrite(document, lambda old: UNDEFINED, None)


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("a", {}, {"a": "new"}),
        ("a", {"a": 1, "b": 2}, {"a": "new", "b": 2}),
        ("a.b.c", {}, {"a": {"b": {"c": "new"}}}),
        ("a.b", {"a": {"c": 1}}, {"a": {"c": 1, "b": "new"}}),
        ("a.3", {"a": {}}, {"a": {"3": "new"}}),
        ("a.1", {"a": [1, 2, 3]}, {"a": [1, "new", 3]}),
        ("a.01", {"a": [1, 2, 3]}, {"a": [1, "new", 3]}),
        ("a.2", {"a": [1]}, {"a": [1, None, "new"]}),
        ("a.2.b", {"a": [1]}, {"a": [1, None, {"b": "new"}]}),
        ("a.0.b", {"a": [{"c": 1}]}, {"a": [{"c": 1, "b": "new"}]}),
        ("a.0.1", {"a": [[0]]}, {"a": [[0, "new"]]}),
    ],
)
def test_what_is_missing_on_the_way_is_made(path: str, before: Document, after: Document) -> None:
    given = str(before)
    assert _set(path, before) == after
    assert str(before) == given


@pytest.mark.parametrize(
    ("path", "before", "after"),
    [
        ("a", {"a": 1, "b": 2}, {"b": 2}),
        ("a.b", {"a": {"b": 1, "c": 2}}, {"a": {"c": 2}}),
        ("a.1", {"a": [1, 2, 3]}, {"a": [1, None, 3]}),
        ("a.0.b", {"a": [{"b": 1, "c": 2}]}, {"a": [{"c": 2}]}),
    ],
)
def test_what_is_taken_away_leaves_null_in_arrays(
    path: str, before: Document, after: Document
) -> None:
    assert _unset(path, before) == after


@pytest.mark.parametrize(
    ("path", "document"),
    [
        ("a", {"b": 1}),
        ("a.b.c", {"a": {}}),
        ("a.b", {"a": 1}),
        ("a.b", {"a": None}),
        ("a.b", {"a": [1]}),
        ("a.5", {"a": [1]}),
        ("a.0", {"a": [None]}),
        ("a." + "9" * 5000, {"a": [1]}),
    ],
)
def test_the_same_document_comes_back_when_there_is_nothing_to_take_away(
    path: str, document: Document
) -> None:
    assert _unset(path, document) is document


def test_a_change_that_gives_back_what_it_got_changes_nothing() -> None:
    document: Document = {"a": [{"b": 1}], "c": {"d": 2}}
    for path in ("a.0.b", "c.d", "c"):
        assert Target.parse("$inc", path).rewrite(document, lambda old: old, None) is document


def test_unchanged_parts_are_shared() -> None:
    document: Document = {"a": {"b": [1], "c": {"d": 1}}, "e": [2]}
    after = _set("a.c.d", document)
    assert after["e"] is document["e"]
    assert after["a"]["b"] is document["a"]["b"]


def test_the_positional_part_is_the_index_that_the_selector_matched() -> None:
    assert _set("a.$", {"a": [1, 2]}, 1) == {"a": [1, "new"]}
    assert _set("a.$.b", {"a": [{}, {}]}, 0) == {"a": [{"b": "new"}, {}]}


@pytest.mark.parametrize(
    ("path", "document", "text"),
    [
        ("a.b", {"a": 1}, "'b' in a value that is neither"),
        ("a.b", {"a": None}, "'b' in a value that is neither"),
        ("a.1.b", {"a": [0, "x"]}, "'b' in a value that is neither"),
        ("a.b", {"a": []}, "cannot use 'b' as the index of an array"),
        ("a.$", {"a": []}, "the selector matched no array element"),
        ("a.$", {"a": {}}, "outside of an array"),
        ("a.1500002", {"a": [1]}, f"more than {MAX_PADDING} elements"),
        ("a." + "9" * 5000, {"a": [1]}, f"more than {MAX_PADDING} elements"),
    ],
)
def test_paths_that_lead_nowhere_are_refused(path: str, document: Document, text: str) -> None:
    with pytest.raises(MinimongoError, match=text):
        _set(path, document)


def test_the_largest_index_that_can_be_reached_is_allowed() -> None:
    assert len(_set(f"a.{MAX_PADDING}", {"a": []})["a"]) == MAX_PADDING + 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("", "empty field name"),
        (".", "empty field name"),
        ("a..b", "empty field name"),
        ("a.", "empty field name"),
        ("a.b\0", "null byte"),
        ("$", "starts with '\\$'"),
        ("$.a", "starts with '\\$'"),
        ("$a", "starts with '\\$'"),
        ("a.$[]", "starts with '\\$'"),
        ("a.$[x].b", "starts with '\\$'"),
        ("a.$.b.$", "more than one positional"),
        (".".join("a" * 101), "deeper than 100 levels"),
    ],
)
def test_paths_that_cannot_be_stored_do_not_compile(path: str, text: str) -> None:
    with pytest.raises(MinimongoError, match=text):
        Target.parse("$set", path)


def test_a_path_of_a_hundred_parts_is_allowed() -> None:
    assert len(Target.parse("$set", ".".join("a" * 100)).parts) == 100


def test_a_path_may_be_kept_out_of_arrays() -> None:
    target = Target.parse("$rename", "a.0", enters_arrays=False)
    document: dict[str, Any] = {"a": {"0": 1}}
    assert target.rewrite(document, lambda old: 2, None) == {"a": {"0": 2}}
    with pytest.raises(MinimongoError, match="cannot lead through an array"):
        target.rewrite({"a": [1]}, lambda old: 2, None)
    with pytest.raises(MinimongoError, match="cannot be positional"):
        Target.parse("$rename", "a.$", enters_arrays=False)
