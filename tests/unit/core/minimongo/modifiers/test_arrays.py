import math

# Arrays hold values of any type.
from collections.abc import Callable
from typing import Any, TypeAlias

import pytest

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.modifiers import arrays
from bolide.core.minimongo.modifiers.target import Change, Target
from bolide.core.values import UNDEFINED, Decimal128, Regex

Compiler: TypeAlias = Callable[[Target, Any], Change]

TARGET = Target.parse("$op", "a")
CREATING: list[tuple[Compiler, Any]] = [
    (arrays.push, 1),
    (arrays.push, {"$each": [1]}),
    (arrays.push_all, [1]),
    (arrays.add_to_set, 1),
    (arrays.add_to_set, {"$each": [1]}),
]
REMOVING: list[tuple[Compiler, Any]] = [
    (arrays.pop, 1),
    (arrays.pull, 1),
    (arrays.pull_all, [1]),
]


@pytest.mark.parametrize(("operator", "operand"), CREATING)
def test_an_absent_array_is_made(operator: Compiler, operand: Any) -> None:
    assert operator(TARGET, operand)(UNDEFINED) == [1]


@pytest.mark.parametrize(("operator", "operand"), REMOVING)
def test_nothing_is_taken_from_an_absent_array(operator: Compiler, operand: Any) -> None:
    assert operator(TARGET, operand)(UNDEFINED) is UNDEFINED


@pytest.mark.parametrize(("operator", "operand"), CREATING + REMOVING)
@pytest.mark.parametrize("old", [None, 1, "text", {"0": 1}])
def test_what_is_no_array_is_refused(operator: Compiler, operand: Any, old: Any) -> None:
    change = operator(TARGET, operand)
    with pytest.raises(MinimongoError, match=r"^\$op of 'a' needs an array in the document\.$"):
        change(old)


@pytest.mark.parametrize(("operator", "operand"), CREATING + REMOVING)
def test_the_old_array_stays_as_it_is(operator: Compiler, operand: Any) -> None:
    old = [1, 2, 3]
    operator(TARGET, operand)(old)
    assert old == [1, 2, 3]


@pytest.mark.parametrize(
    ("operand", "old", "new"),
    [
        (3, [1, 2], [1, 2, 3]),
        ([3], [1], [1, [3]]),
        (None, [1], [1, None]),
        ({"x": 1}, [1], [1, {"x": 1}]),
        ({"$each": []}, [1], [1]),
        ({"$each": [2, 3]}, [1], [1, 2, 3]),
        ({"$each": [0], "$position": 0}, [1, 2], [0, 1, 2]),
        ({"$each": [8, 9], "$position": 1.0}, [1, 2], [1, 8, 9, 2]),
        ({"$each": [9], "$position": 99}, [1, 2], [1, 2, 9]),
        ({"$each": [3], "$slice": 2}, [1, 2], [1, 2]),
        ({"$each": [3], "$slice": -2}, [1, 2], [2, 3]),
        ({"$each": [3], "$slice": -9}, [1, 2], [1, 2, 3]),
        ({"$each": [3], "$slice": 0}, [1, 2], []),
    ],
)
def test_pushing_adds_places_and_slices(operand: Any, old: list[Any], new: list[Any]) -> None:
    assert arrays.push(TARGET, operand)(old) == new


@pytest.mark.parametrize(
    ("clauses", "old", "new"),
    [
        ({"$sort": 1}, [3, 1], [1, 2, 3]),
        ({"$sort": -1.0}, [3, "a", 1], ["a", 3, 2, 1]),
        ({"$sort": 1, "$slice": -2}, [3, 1], [2, 3]),
        ({"$sort": 1, "$position": 0}, [3, 1], [1, 2, 3]),
        ({"$sort": {"x": 1}}, [{"x": 3}, {"x": 1}], [2, {"x": 1}, {"x": 3}]),
        ({"$sort": {"x": -1}, "$slice": 2}, [{"x": 1}, {"x": 3}], [{"x": 3}, {"x": 1}]),
        ({"$sort": [["x.y", "desc"]]}, [{"x": {"y": 1}}, {"x": {"y": 2}}], None),
    ],
)
def test_pushing_sorts_before_it_slices(clauses: Any, old: list[Any], new: list[Any]) -> None:
    change = arrays.push(TARGET, {"$each": [2], **clauses})
    assert change(old) == (new or [{"x": {"y": 2}}, {"x": {"y": 1}}, 2])


@pytest.mark.parametrize("direction", [1, -1])
def test_sorting_keeps_the_order_of_equal_elements(direction: int) -> None:
    change = arrays.push(TARGET, {"$each": [], "$sort": direction})
    assert [type(element) for element in change([1, 1.0])] == [int, float]


@pytest.mark.parametrize(
    ("operand", "text"),
    [
        ({"$each": [1], "$sort": 2}, "needs 1, -1 or paths as \\$sort"),
        ({"$each": [1], "$sort": True}, "needs 1, -1 or paths as \\$sort"),
        ({"$each": [1], "$sort": {}}, "needs 1, -1 or paths as \\$sort"),
        ({"$each": [1], "$sort": None}, "needs 1, -1 or paths as \\$sort"),
        ({"$each": [1], "$sort": {"x": 2}}, "direction of the sort by 'x'"),
        ({"$each": 1}, "needs an array of values"),
        ({"$each": [1], "$foo": 1}, "takes \\$each, \\$position, \\$slice and \\$sort only"),
        ({"$each": [1], "$position": -1}, "negative \\$position"),
        ({"$each": [1], "$position": "1"}, "whole number as \\$position"),
        ({"$each": [1], "$position": 1.5}, "whole number as \\$position"),
        ({"$each": [1], "$position": True}, "whole number as \\$position"),
        ({"$each": [1], "$slice": None}, "whole number as \\$slice"),
        ({"$each": [1], "$slice": float("nan")}, "whole number as \\$slice"),
        ({"$each": [{"a.b": 1}]}, "contains '.'"),
        ({"$slice": 1}, "starts with '\\$'"),
        ({"$a": 1}, "starts with '\\$'"),
    ],
)
def test_bad_operands_of_push_do_not_compile(operand: Any, text: str) -> None:
    with pytest.raises(MinimongoError, match=text):
        arrays.push(TARGET, operand)


def test_pushed_values_are_copies() -> None:
    value: dict[str, Any] = {"x": [1]}
    change = arrays.push(TARGET, value)
    value["x"].append(2)
    assert change([]) == [{"x": [1]}]


def test_pushing_all_takes_an_array() -> None:
    assert arrays.push_all(TARGET, [2, [3]])([1]) == [1, 2, [3]]
    with pytest.raises(MinimongoError, match="needs an array of values"):
        arrays.push_all(TARGET, 1)


@pytest.mark.parametrize(
    ("operand", "old", "new"),
    [
        (2, [1], [1, 2]),
        (1, [1, 2], [1, 2]),
        (1.0, [1], [1]),
        (1, [Decimal128("1.0")], [Decimal128("1.0")]),
        (math.nan, [math.nan], [math.nan]),
        (1, [True, "1"], [True, "1", 1]),
        (True, [1], [1, True]),
        ([1], [1], [1, [1]]),
        ({"x": 1, "y": 2}, [{"y": 2, "x": 1}], [{"y": 2, "x": 1}, {"x": 1, "y": 2}]),
        ({"x": 1}, [{"x": 1}], [{"x": 1}]),
        ({"$each": [2, 1, 2]}, [1], [1, 2]),
        ({"$each": [2], "other": 1}, [1], [1, 2]),
    ],
)
def test_a_set_holds_equal_values_once(operand: Any, old: list[Any], new: list[Any]) -> None:
    assert arrays.add_to_set(TARGET, operand)(old) == new


def test_equal_values_are_added_once_to_an_absent_set() -> None:
    assert arrays.add_to_set(TARGET, {"$each": [1, 1]})(UNDEFINED) == [1]


def test_each_counts_only_as_the_first_key_of_a_set_operand() -> None:
    with pytest.raises(MinimongoError, match=r"starts with '\$'"):
        arrays.add_to_set(TARGET, {"other": 1, "$each": [1]})


@pytest.mark.parametrize("operand", [1, 0, 10, 0.5, "stuff", None])
def test_popping_takes_the_last_element(operand: Any) -> None:
    assert arrays.pop(TARGET, operand)([1, 2, 3]) == [1, 2]
    assert arrays.pop(TARGET, operand)([]) == []


@pytest.mark.parametrize("operand", [-1, -10, -0.5])
def test_popping_with_a_negative_number_takes_the_first(operand: Any) -> None:
    assert arrays.pop(TARGET, operand)([1, 2, 3]) == [2, 3]
    assert arrays.pop(TARGET, operand)([]) == []


@pytest.mark.parametrize(
    ("operand", "old", "new"),
    [
        (1, [1, 2, 1.0, True, [1]], [2, True, [1]]),
        (None, [None, 1], [1]),
        ([2, 1], [[2], [2, 1]], [[2]]),
        ({"$gt": 2}, [1, 2, 3, "x"], [1, 2, "x"]),
        ({"b": 1}, [{"b": 1, "c": 2}, {"b": 2}, 3], [{"b": 2}, 3]),
        ({"b": {"$gte": 2}}, [{"b": 1}, {"b": 2}], [{"b": 1}]),
        (Regex("^a"), ["ab", "b"], ["b"]),
    ],
)
def test_pulling_takes_what_equals_or_fits(operand: Any, old: list[Any], new: list[Any]) -> None:
    assert arrays.pull(TARGET, operand)(old) == new


def test_the_condition_of_pull_is_a_copy() -> None:
    values: list[Any] = [1]
    change = arrays.pull(TARGET, {"$in": [values]})
    values.append(2)
    assert change([[1], [1, 2]]) == [[1, 2]]


def test_pulling_all_takes_every_equal_element() -> None:
    change = arrays.pull_all(TARGET, [1, {"x": 1}])
    assert change([1, 2, 1.0, {"x": 1}, {"x": 1, "y": 2}]) == [2, {"x": 1, "y": 2}]
    with pytest.raises(MinimongoError, match="needs an array of values"):
        arrays.pull_all(TARGET, 1)
