from typing import Any

import pytest

from bolide.core.minimongo.branches import Branch, Lookup, expand, positions
from bolide.core.values import UNDEFINED


def values_at(path: str, document: dict[str, Any], *, for_sort: bool = False) -> list[Any]:
    return [branch.value for branch in Lookup(path, for_sort=for_sort).find(document)]


@pytest.mark.parametrize(
    ("path", "document", "values"),
    [
        ("a", {"a": 1}, [1]),
        ("a", {}, [UNDEFINED]),
        ("a", {"a": [1, 2]}, [[1, 2]]),
        ("a.b", {"a": {"b": 1}}, [1]),
        ("a.b", {"a": {}}, [UNDEFINED]),
        ("a.b", {"a": 5}, [UNDEFINED]),
        ("a.b", {}, [UNDEFINED]),
        ("a.b.c", {"a": {"b": None}}, [UNDEFINED]),
        ("a.0", {"a": {"0": 7}}, [7]),
    ],
)
def test_without_arrays_on_the_way_a_path_leads_to_one_value(
    path: str, document: dict[str, Any], values: list[Any]
) -> None:
    assert values_at(path, document) == values


@pytest.mark.parametrize(
    ("path", "document", "values"),
    [
        ("a.b", {"a": [{"b": 1}, 5, {"b": 2}, {}]}, [1, 2, UNDEFINED]),
        ("a.b", {"a": [[{"b": 1}]]}, []),
        ("a.b", {"a": []}, []),
        ("a.1", {"a": [7, 8]}, [8]),
        ("a.2", {"a": [7, 8]}, []),
        ("a.99999999999", {"a": [7]}, []),
        ("a.0.b", {"a": [{"b": 1}, {"b": 2}]}, [1, UNDEFINED, UNDEFINED]),
        ("a.0.b", {"a": [5]}, []),
        ("a.0.b", {"a": [[{"b": 3}]]}, [3]),
        ("a.0", {"a": [{"0": 5}]}, [{"0": 5}, 5]),
    ],
)
def test_an_array_is_entered_by_index_and_by_its_documents(
    path: str, document: dict[str, Any], values: list[Any]
) -> None:
    assert values_at(path, document) == values


def test_for_sorting_a_number_is_only_an_index() -> None:
    assert values_at("a.0.b", {"a": [{"b": 1, "0": {"b": 3}}]}, for_sort=True) == [1]


def test_for_sorting_an_element_that_is_no_document_is_missing() -> None:
    assert values_at("a.b", {"a": [{"b": 1}, 5]}, for_sort=True) == [1, UNDEFINED]


def test_branches_know_the_array_elements_on_the_way() -> None:
    document = {"a": [{"b": [[5], 6]}]}
    assert Lookup("a.b").find(document) == [Branch([[5], 6], (0,))]
    assert Lookup("a.b.0").find(document) == [Branch([5], (0, ~0), is_whole=True)]


def test_a_path_can_be_looked_up_in_an_array() -> None:
    assert Lookup("1").find([7, 8]) == [Branch(8, (~1,), is_whole=True)]


def test_expanding_goes_on_to_the_elements() -> None:
    branches = [Branch(5), Branch([6, [7]], (1,)), Branch([8], (2, ~0), is_whole=True)]
    elements = [Branch(6, (1, 0)), Branch([7], (1, 1))]
    assert list(expand(branches, keep_arrays=False)) == [branches[0], *elements, branches[2]]
    assert list(expand(branches, keep_arrays=True)) == [*branches[:2], *elements, branches[2]]


def test_positions_are_plain_indices() -> None:
    assert positions((2, ~3, 0)) == (2, 3, 0)
