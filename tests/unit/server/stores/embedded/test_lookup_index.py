from typing import Any

import pytest

from bolide.core.values import Document
from bolide.server.stores.base import IndexSpec
from bolide.server.stores.embedded.bounds import bounds_of
from bolide.server.stores.embedded.lookup_index import (
    MAX_COMBINATIONS,
    LookupIndex,
    can_answer,
    choose,
)


def index_of(*documents: Document, on: tuple[str, ...], sparse: bool = False) -> LookupIndex:
    spec = IndexSpec(keys=tuple((path, 1) for path in on), name="_".join(on), sparse=sparse)
    return LookupIndex(spec, enumerate(documents))


def found(index: LookupIndex, **asked: Any) -> set[Any]:
    bounds = bounds_of({path.replace("_", "."): value for path, value in asked.items()})
    keys = index.find(bounds)
    assert len(keys) <= index.count(bounds)
    return keys


def test_values_are_found_by_equality_and_range() -> None:
    index = index_of({"n": 1}, {"n": 2.5}, {"n": "x"}, {}, {"n": None}, on=("n",))
    assert found(index, n=1.0) == {0}
    assert found(index, n=None) == {3, 4}
    assert found(index, n={"$in": [2.5, "x", 7]}) == {1, 2}
    assert found(index, n={"$gt": 1.5}) == {1}
    assert found(index, n={"$lte": 2}) == {0}
    assert found(index, n={"$gt": 0, "$lt": 9}) == {0, 1}
    assert found(index, n={"$gte": "a"}) == {2}
    assert found(index, n={"$gt": 5, "$lt": 3}) == set()


def test_each_element_of_an_array_finds_its_document() -> None:
    index = index_of({"t": [1, 2, 2]}, {"t": []}, {"t": [[1]]}, {"t": {"a": 1}}, on=("t",))
    assert found(index, t=2) == {0}
    assert found(index, t=1) == {0}


def test_two_limits_may_be_met_by_two_elements() -> None:
    index = index_of({"t": [0, 10]}, {"t": 5}, {"t": 11}, {"t": 12}, {"t": -1}, on=("t",))
    assert found(index, t={"$gt": 3, "$lt": 7}) >= {0, 1}
    assert found(index, t={"$gt": 9, "$lt": 11}) >= {0}


def test_paths_go_into_arrays_of_documents() -> None:
    index = index_of({"a": [{"b": 1}, {"b": 2}, {}]}, {"a": {"b": 2}}, {"a": 7}, on=("a.b",))
    assert found(index, a_b=2) == {0, 1}
    assert found(index, a_b=None) == {0, 2}


def test_a_compound_index_uses_as_many_paths_as_are_bound() -> None:
    beds = [{"ward": ward, "bed": bed} for ward in (1, 2) for bed in (1, 2)]
    index = index_of(*beds, {"ward": 1}, on=("ward", "bed"))
    assert found(index, ward=1) == {0, 1, 4}
    assert found(index, ward=1, bed=2) == {1}
    assert found(index, ward={"$in": [1, 2]}, bed={"$in": [2, None]}) == {1, 3, 4}
    assert found(index, ward=1, bed={"$gt": 1}) == {0, 1, 4}
    assert found(index, ward={"$gt": 1.5}, bed=1) == {2, 3}


def test_too_many_combinations_are_left_to_the_first_path() -> None:
    many = list(range(MAX_COMBINATIONS + 1))
    index = index_of({"a": many, "b": 1}, {"a": 1, "b": 1}, {"a": 1, "b": 2}, on=("a", "b"))
    assert found(index, a=1, b=2) == {0, 2}
    assert found(index, a=5) == {0}
    index.remove(0, {"a": many, "b": 1})
    assert found(index, a=1, b=2) == {2}
    asked = {"$in": many}
    assert found(index, a=asked, b=asked) == {1, 2}


def test_an_index_follows_changes() -> None:
    index = index_of({"n": 1}, {"n": 1}, {"n": 3}, on=("n",))
    assert found(index, n={"$gt": 0}) == {0, 1, 2}
    index.move(0, {"n": 1}, {"n": 2})
    assert found(index, n=1) == {1}
    assert found(index, n={"$gt": 1.5}) == {0, 2}
    index.move(1, {"n": 1}, None)
    index.move(9, None, {"n": "z"})
    index.move(2, {"n": 3}, {"n": 3.0, "other": 1})
    assert found(index, n=1) == set()
    assert found(index, n={"$lt": 3}) == {0, 2}
    assert found(index, n={"$gte": "a"}) == {9}


def test_a_sparse_index_leaves_out_what_lacks_its_paths() -> None:
    index = index_of({}, {"a": None}, {"b": 1}, {"a": 1}, on=("a", "b"), sparse=True)
    assert found(index, a=1) == {3}
    index.move(0, {}, {"a": 1})
    assert found(index, a=1) == {0, 3}
    index.move(0, {"a": 1}, {})
    assert found(index, a=1) == {3}
    assert not can_answer(index.spec, bounds_of({"a": None}))
    assert not can_answer(index.spec, bounds_of({"a": {"$in": [1, None]}}))
    assert can_answer(index.spec, bounds_of({"a": 1, "b": None}))


def test_an_index_answers_if_its_first_path_is_bound() -> None:
    spec = IndexSpec(keys=(("a", 1), ("b", -1)))
    assert can_answer(spec, bounds_of({"a": 1}))
    assert can_answer(spec, bounds_of({"a": {"$gt": 1}}))
    assert not can_answer(spec, bounds_of({"b": 1}))
    assert not can_answer(spec, {})


def test_the_index_that_leaves_fewest_documents_is_chosen() -> None:
    documents = [{"a": number % 2, "b": number % 10, "c": 1} for number in range(100)]
    indexes = [(index_of(*documents, on=(path,)),) for path in "cab"]
    asked = bounds_of({"a": 1, "b": 3, "c": 1})
    assert choose(indexes, asked, 100) == indexes[2]
    assert choose(indexes[:2], asked, 100) == indexes[1]
    # Putting all of them into order costs more than it saves.
    assert choose(indexes[:1], asked, 100) is None
    assert choose(indexes[:1], asked, 50) is None
    assert choose([], asked, 1) is None


@pytest.mark.parametrize("kind", [str, float])
def test_a_range_costs_no_look_at_what_lies_outside(kind: Any) -> None:
    index = index_of(*({"n": kind(number)} for number in range(10, 90)), on=("n",))
    assert index.count(bounds_of({"n": {"$gte": kind(20), "$lt": kind(30)}})) == 11
