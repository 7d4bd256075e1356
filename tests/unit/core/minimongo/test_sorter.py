from typing import Any

import pytest

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.sorter import EMPTY_ARRAY, Sorter, with_id
from bolide.core.values import UNDEFINED, Regex

EMPTY: list[object] = []


@pytest.mark.parametrize(
    "spec",
    [
        {"a": 1, "b.c": -1},
        [("a", 1), ("b.c", -1)],
        [["a", "asc"], ["b.c", "desc"]],
        ["a", ("b.c", "descending")],
        (("a", "ascending"), ("b.c", -1.0)),
    ],
)
def test_all_forms_of_a_specification_mean_the_same(spec: Any) -> None:
    sorter = Sorter(spec)
    assert sorter.paths == ("a", "b.c")
    documents = [{"a": 1, "b": {"c": 2}}, {"a": 1, "b": {"c": 1}}, {"a": 2, "b": {"c": 9}}]
    assert sorted(reversed(documents), key=sorter.key) == documents
    assert sorter.compare(documents[0], documents[1]) == -1
    assert sorter.compare(documents[2], documents[1]) == 1
    assert sorter.compare(documents[2], documents[2]) == 0


@pytest.mark.parametrize(
    "spec",
    [
        "a",
        123,
        None,
        {"": 1},
        {"$natural": 1},
        {"a": 0},
        {"a": True},
        {"a": False},
        {"a": "up"},
        {"a": {"$meta": "textScore"}},
        [5],
        [["a"]],
        [["a", 1, 2]],
        [[1, "a"]],
    ],
)
def test_anything_else_is_refused(spec: Any) -> None:
    with pytest.raises(MinimongoError, match=r"[Ss]ort"):
        Sorter(spec)


def test_an_empty_specification_makes_everything_a_tie() -> None:
    assert Sorter([]).compare({"a": 1}, {"a": 2}) == 0


@pytest.mark.parametrize(
    ("spec", "document", "keys"),
    [
        ({"a": 1}, {"a": 5}, [(5,)]),
        ({"a": 1}, {}, [(UNDEFINED,)]),
        ({"a": 1}, {"a": None}, [(None,)]),
        ({"a": 1}, {"a": [3, 4]}, [(3,), (4,)]),
        ({"a": 1}, {"a": []}, [(EMPTY_ARRAY,)]),
        ({"a": 1}, {"a": [EMPTY]}, [(EMPTY,)]),
        ({"a.b": 1}, {"a": []}, [(UNDEFINED,)]),
        ({"a.b": 1}, {"a": [{"b": 1}, 5]}, [(1,), (UNDEFINED,)]),
        ({"a.0": 1}, {"a": [[7, 8]]}, [([7, 8],)]),
        ({"a.x": 1, "b": 1, "a.y": 1}, {"a": [{"x": 0, "y": 5}], "b": 4}, [(0, 4, 5)]),
    ],
)
def test_a_document_has_a_key_for_each_element(
    spec: Any, document: dict[str, Any], keys: list[tuple[Any, ...]]
) -> None:
    assert sorted(Sorter(spec).keys(document), key=str) == sorted(keys, key=str)


def test_the_least_element_counts_ascending_and_the_greatest_descending() -> None:
    wide, narrow = {"a": [1, 10, 20]}, {"a": [5, 2, 9]}
    assert Sorter({"a": 1}).compare(wide, narrow) == -1
    assert Sorter({"a": -1}).compare(wide, narrow) == -1


def test_keys_of_one_element_stay_together() -> None:
    spec = {"a.x": 1, "a.y": 1}
    assert (
        Sorter(spec).compare({"a": [{"x": 0, "y": 5}, {"x": 1, "y": 3}]}, {"a": {"x": 0, "y": 4}})
        == 1
    )


def test_an_empty_array_that_is_an_element_is_opened_unless_other_arrays_are() -> None:
    assert Sorter({"a.0": 1, "_id": 1}).compare({"_id": 2, "a": [[]]}, {"_id": 1}) == -1
    assert Sorter({"a.0": 1}).compare({"a": [[1]]}, {"a": [5]}) == 1
    assert Sorter({"a.0": 1, "x.1": 1}).compare({"a": [[]], "x": [{}]}, {}) == 1


def test_an_empty_array_comes_before_null_which_is_a_tie_with_missing() -> None:
    sorter = Sorter({"a": 1})
    assert sorter.compare({"a": []}, {"a": None}) == -1
    assert sorter.compare({}, {"a": None}) == 0
    assert sorter.compare({"a": None}, {"a": 0}) == -1
    assert sorter.compare({"a": 0}, {"a": [[]]}) == -1


@pytest.mark.parametrize("spec", [{"a": 1, "b": 1}, {"a.0": 1, "a": 1}])
def test_two_arrays_at_once_are_refused(spec: Any) -> None:
    with pytest.raises(MinimongoError, match="two arrays"):
        Sorter(spec).key({"a": [1, 2], "b": [1, 2, 3]})


def test_regular_expressions_cannot_be_sorted() -> None:
    with pytest.raises(MinimongoError, match="no order"):
        Sorter({"a": 1}).compare({"a": Regex("x")}, {"a": Regex("y")})


def test_the_id_decides_between_equal_documents() -> None:
    assert with_id([("a", -1)]) == [("a", -1), ("_id", 1)]
    assert with_id([("_id", -1), ("a", 1)]) == [("_id", -1), ("a", 1)]
