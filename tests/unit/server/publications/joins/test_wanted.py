"""Which wants go into one query, by which field, and what that query is."""

from collections.abc import Mapping
from typing import Any

import pytest

from bolide.core.keys import key_of
from bolide.core.values import Regex
from bolide.server.access.gateway import Gateway
from bolide.server.collections.collection import Collection
from bolide.server.collections.cursor import ChildFunction, Cursor
from bolide.server.publications.joins.wanted import (
    ONCE,
    Wanted,
    functions_key,
    merged_query,
    read_wanted,
)
from bolide.server.stores.base import Query

VITALS = Collection(Gateway(), "vitals")
READ = {"_id": "p1", "ward": "w1", "ref": {"id": "r1"}, "tags": ["t1", "t2"]}


def wanted(selector: Mapping[str, Any], read: Mapping[str, Any] = READ, **options: Any) -> Wanted:
    return read_wanted(VITALS.find(selector, **options), read)


@pytest.mark.parametrize(
    ("selector", "pivot", "values"),
    [
        ({"patient": "p1"}, "patient", ["p1"]),
        ({"patient": {"$eq": "p1"}}, "patient", ["p1"]),
        ({"n": {"$gt": 1}, "patient": "p1"}, "patient", ["p1"]),
        ({"kind": "note", "patient": "p1"}, "patient", ["p1"]),
        ({"ward": "w1", "patient": "p1"}, "patient", ["p1"]),
        ({"kind": "note", "ward": "w1"}, "ward", ["w1"]),
        ({"kind": "note", "ref": "r1"}, "ref", ["r1"]),
        ({"ward": "w1", "_id": "r1"}, "_id", ["r1"]),
        ({"kind": "note", "_id": {"$in": ["t1", "t2"]}}, "_id", ["t1", "t2"]),
        ({"kind": {"$in": ["a", "b"]}, "patient": "p1"}, "patient", ["p1"]),
        ({"kind": "note", "key": "computed"}, "kind", ["note"]),
        ({"_id": {"$in": []}}, "_id", []),
        ({"name": {"first": "A"}}, "name", [{"first": "A"}]),
        ({"ward": None}, "ward", [None]),
    ],
)
def test_the_pivot_is_what_came_from_the_parent(
    selector: Mapping[str, Any], pivot: str, values: list[Any]
) -> None:
    found = wanted(selector)
    assert found.pivot == pivot
    assert found.values == {key_of(value): value for value in values}


@pytest.mark.parametrize(
    ("selector", "options"),
    [
        ({}, {}),
        ({"n": {"$gt": 1}}, {}),
        ({"name": Regex("^A")}, {}),
        ({"name": {"$in": [Regex("^A")]}}, {}),
        ({"name": {"$in": [{"$gt": 1}]}}, {}),
        ({"name": {"$in": "no list"}}, {}),
        ({"patient": "p1"}, {"sort": "n"}),
        ({"patient": "p1"}, {"limit": 1}),
        ({"patient": "p1"}, {"skip": 1}),
    ],
)
def test_what_is_no_equality_or_a_window_stays_alone(
    selector: Mapping[str, Any], options: Mapping[str, Any]
) -> None:
    found = wanted(selector, **options)
    assert (found.pivot, found.values) == (None, ONCE)
    assert merged_query(found, ONCE) is found.query
    assert found.key == wanted(selector, **options).key


def test_siblings_have_one_key_and_others_have_not() -> None:
    one = wanted({"kind": "note", "patient": "p1"})
    assert one.key == wanted({"kind": "note", "patient": "p2"}, {"_id": "p2"}).key
    others = [
        wanted({"kind": "task", "patient": "p1"}),
        wanted({"patient": "p1", "kind": "note"}),
        wanted({"kind": "note", "patient": "p1"}, projection={"n": 1}),
        wanted({"kind": "note", "patient": "p1"}, limit=1),
        wanted({"kind": "note", "patient": "p1"}, children=[plain]),
        read_wanted(Collection(Gateway(), "notes").find(one.query.selector), READ),
    ]
    assert len({one.key, *(other.key for other in others)}) == 1 + len(others)


def test_one_value_is_asked_for_as_it_is_and_several_in_one_order() -> None:
    one = wanted({"patient": "p1", "kind": "note"})
    assert merged_query(one, one.values) == one.query
    in_list = wanted({"patient": {"$in": ["p1"]}})
    assert merged_query(in_list, in_list.values).selector == {"patient": "p1"}
    keys = [key_of(name) for name in "abcdefgh"]
    forward = merged_query(one, {key: key for key in keys})
    backward = merged_query(one, {key: key for key in reversed(keys)})
    assert forward == backward
    assert forward.selector["kind"] == "note"
    assert sorted(forward.selector["patient"]["$in"]) == list("abcdefgh")
    assert list(forward.selector) == ["patient", "kind"]


def plain(parent: Mapping[str, Any]) -> None:
    return None


class Asker:
    def ask(self, parent: Mapping[str, Any]) -> Cursor | None:
        return None

    __call__ = ask


def make(captured: object, default: object = None) -> ChildFunction:
    def child(parent: Mapping[str, Any], extra: object = default, *, more: object = 1) -> None:
        assert captured is not extra or more

    return child


def test_functions_are_the_same_if_code_and_captured_objects_are() -> None:
    asker, other = Asker(), Asker()
    one, two = object(), object()
    same: list[tuple[ChildFunction, ChildFunction]] = [
        (plain, plain),
        (asker.ask, asker.ask),
        (asker, asker),
        (make(one), make(one)),
        (make(one, two), make(one, two)),
    ]
    for first, second in same:
        assert functions_key([first]) == functions_key([second])
        assert hash(functions_key([first])) == hash(functions_key([second]))
    different: list[ChildFunction] = [
        plain, asker.ask, other.ask, asker, other, make(one), make(two), make(one, two),
        make(two, one),
    ]  # fmt: skip
    assert len({functions_key([function]) for function in different}) == len(different)
    assert functions_key([plain, plain]) != functions_key([plain])
    assert functions_key([make(one)]) != ("something", "else")
    assert functions_key([asker]) != functions_key([plain])


def test_a_want_keeps_what_was_written() -> None:
    found = wanted({"patient": "p1"}, children=[plain])
    assert found.query == Query(collection="vitals", selector={"patient": "p1"})
    assert found.children == (plain,)
