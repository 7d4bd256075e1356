# Selectors and modifiers hold values of any type.
from typing import Any

import pytest

from bolide.core.minimongo.analysis import (
    affected_by_modifier,
    combine_selector_projection,
    combine_sort_projection,
    selector_paths,
)
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.modifier import Modifier


def test_the_paths_of_a_selector_are_those_it_looks_at() -> None:
    selector = {"a": 1, "$or": [{"b.c": {"$gt": 2}}, {"$and": [{"d.0": {"$elemMatch": {"e": 1}}}]}]}
    assert selector_paths(selector) == {"a", "b.c", "d.0"}
    assert selector_paths("p") == {"_id"}
    assert selector_paths({}) == set()


@pytest.mark.parametrize(
    ("asked", "modified"),
    [
        ("a", "a"),
        ("a", "a.b"),
        ("a.b", "a"),
        ("a.b", "a.2.b"),
        ("a.b", "a.$.b"),
        ("a.b", "a.1"),
        ("a.1", "a"),
        ("a.1", "a.1.b"),
        ("a.1", "a.01.b"),
        ("a.1.b", "a.$.b"),
        ("a.1", "a.2"),
        ("a.9", "a.10"),
        ("a.1", "a." + "9" * 5000),
    ],
)
def test_a_change_may_be_seen_where_one_path_leads_to_the_other(asked: str, modified: str) -> None:
    assert affected_by_modifier({asked: 1}, {"$set": {modified: 1}})


@pytest.mark.parametrize(
    ("asked", "modified"),
    [
        ("a", "b"),
        ("a", "ab"),
        ("ab", "a"),
        ("a.b", "a.c"),
        ("a.4.b", "a.b"),
        ("a.4.b", "a.3.b"),
        ("a.$x", "a.b"),
        ("a.1.b", "a.$.c"),
    ],
)
def test_a_change_elsewhere_is_not_seen(asked: str, modified: str) -> None:
    assert not affected_by_modifier({asked: 1}, {"$set": {modified: 1}})


@pytest.mark.parametrize(
    ("modifier", "affected"),
    [
        ({"$inc": {"b": 1}, "$push": {"a.x": 1}}, True),
        ({"$rename": {"b": "a"}}, True),
        ({"$rename": {"a": "b"}}, True),
        ({"$set": {}}, False),
        ({"b": 1}, True),
        ({}, True),
    ],
)
def test_every_operator_counts_and_a_replacement_changes_everything(
    modifier: Any, affected: bool
) -> None:
    assert affected_by_modifier({"a": 1}, modifier) is affected
    assert affected_by_modifier({"a": 1}, Modifier(modifier)) is affected


@pytest.mark.parametrize(
    ("selector", "projection", "combined"),
    [
        ({"a": 1}, None, {}),
        ({"a": 1}, {}, {}),
        ({"a": 1}, {"_id": 0}, {}),
        ({}, {"b": 1}, {"b": True}),
        ({"a": 1}, {"b": 1, "_id": 0}, {"b": True, "a": True}),
        ({"a.b": 1}, {"a": 1}, {"a": True}),
        ({"a": 1}, {"a.b": 1, "c": 1}, {"a": True, "c": True}),
        ({"a.0.b": 1, "a.1.b": 1}, {"c": 1}, {"a.b": True, "c": True}),
        ({"0": 1}, {"c": 1}, {}),
        ({"0": 1}, {"c": 0}, {}),
        ({"a": 1}, {"a": 0, "b": 0}, {"b": False}),
        ({"a.b": 1}, {"a": 0}, {}),
        ({"a": 1}, {"a.b": 0, "ab": 0}, {"ab": False}),
        ({"a.0.b": 1}, {"a.b": 0, "a.c": 0}, {"a.c": False}),
    ],
)
def test_the_fields_a_selector_looks_at_are_fetched_too(
    selector: Any, projection: Any, combined: dict[str, bool]
) -> None:
    assert combine_selector_projection(selector, projection) == combined


@pytest.mark.parametrize(
    ("sort", "projection", "combined"),
    [
        ({"a.1.c": 1}, {"b": 1}, {"b": True, "a.c": True}),
        ([["a", "desc"]], {"a": 0, "b": 0}, {"b": False}),
        ({"a": 1}, None, {}),
    ],
)
def test_the_fields_a_sort_looks_at_are_fetched_too(
    sort: Any, projection: Any, combined: dict[str, bool]
) -> None:
    assert combine_sort_projection(sort, projection) == combined


def test_what_does_not_compile_is_refused() -> None:
    with pytest.raises(MinimongoError):
        selector_paths({"$foo": 1})
    with pytest.raises(MinimongoError):
        affected_by_modifier({"a": 1}, {"$foo": {"a": 1}})
    with pytest.raises(MinimongoError):
        combine_selector_projection({"a": 1}, {"a": 1, "b": 0})
    with pytest.raises(MinimongoError):
        combine_sort_projection(1, {"a": 1})
