from typing import Any

import pytest

from bolide.core.minimongo.branches import Branch
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.selectors.conditions import EVERYTHING, DocumentCondition, Match
from bolide.core.minimongo.selectors.value_operators import compile_value, element_test, unsupported
from bolide.core.values import UNDEFINED, Document, Regex


def accept_all_documents(_: Document) -> DocumentCondition:
    return EVERYTHING


def match(selector: Any, value: Any, *, is_root: bool = True) -> Match:
    condition = compile_value(selector, accept_all_documents, is_root=is_root)
    found = condition.match([Branch(value)])
    assert condition.accepts(value) == found.matched
    return found


HOLDING: list[tuple[Any, Any]] = [
    (5, 5),
    ({}, {}),
    (Regex("a"), "cat"),
    ({"$eq": 5}, [5]),
    ({"$ne": 5}, [6]),
    ({"$ne": 5}, UNDEFINED),
    ({"$in": [5]}, 5),
    ({"$nin": [5]}, 6),
    ({"$gt": 5, "$lte": 7}, 7),
    ({"$lt": 5}, [7, 3]),
    ({"$gte": 5}, 5),
    ({"$mod": [2, 1]}, 5),
    ({"$type": "int"}, [5]),
    ({"$size": 1}, [5]),
    ({"$bitsAllSet": 1}, 5),
    ({"$bitsAnySet": 3}, 5),
    ({"$bitsAllClear": 2}, 5),
    ({"$bitsAnyClear": 3}, 5),
    ({"$exists": True}, None),
    ({"$exists": 0}, UNDEFINED),
    ({"$not": {"$gt": 5}}, "a"),
    ({"$not": Regex("a")}, "b"),
    ({"$all": [5, Regex("a")]}, ["a", 5]),
    ({"$regex": "A", "$options": "i"}, "cat"),
    ({"$regex": Regex("a", "i")}, "CAT"),
    ({"$regex": Regex("a", "m"), "$options": "i"}, "CAT"),
    ({"$elemMatch": {"$gt": 5}}, [6]),
    ({"$elemMatch": {"a": 5}}, [{}]),
    ({"$elemMatch": {}}, [[]]),
    ({"$near": [0, 0]}, [3, 4]),
]


@pytest.mark.parametrize(("selector", "value"), HOLDING)
def test_holds(selector: Any, value: Any) -> None:
    assert match(selector, value)


@pytest.mark.parametrize(
    ("selector", "value"),
    [
        (5, 6),
        ({"$eq": 5}, 6),
        ({"$ne": 5}, [6, 5]),
        ({"$nin": [5]}, [6, 5]),
        ({"$type": "array"}, [5]),
        ({"$size": 1}, [[5], [5]]),
        ({"$exists": True}, UNDEFINED),
        ({"$exists": False}, None),
        ({"$not": {"$gt": 5}}, [3, 7]),
        ({"$all": []}, []),
        ({"$all": [5, 6]}, [5]),
        ({"$regex": Regex("a", "i"), "$options": ""}, "CAT"),
        ({"$elemMatch": {"$gt": 5}}, 6),
        ({"$elemMatch": {"$gt": 5}}, [[6]]),
        ({"$elemMatch": {"$gt": 5}}, [5]),
        ({"$elemMatch": {"a": 5}}, [5]),
        ({"$near": [0, 0], "$maxDistance": 4}, [3, 4]),
        ({"$near": [0, 0]}, "here"),
    ],
)
def test_does_not_hold(selector: Any, value: Any) -> None:
    assert not match(selector, value)


def test_elem_match_names_the_element() -> None:
    condition = compile_value({"$elemMatch": {"$gt": 5}}, accept_all_documents)
    assert condition.match([Branch([1, 7])]) == Match(True, (1,))
    assert condition.match([Branch(7), Branch([7], (3, ~1))]) == Match(True, (3, 1))


def test_near_measures_to_the_nearest_point_and_names_the_first_element() -> None:
    condition = compile_value(
        {"$near": [0, 0], "$maxDistance": 20}, accept_all_documents, is_root=True
    )
    branches = [Branch([99, 99], (4,)), Branch([3, 4], (1,)), Branch([1, 0], (2,)), Branch([6, 8])]
    assert condition.match(branches) == Match(True, (4,), 1.0)
    assert condition.match([Branch([[6, 8], [3, 4]])]) == Match(True, (0,), 5.0)
    assert condition.match([Branch({"x": 0, "y": 2})]) == Match(True, None, 2.0)
    assert condition.match([Branch([99, 99], (0,))]) == Match(False)


def test_near_measures_metres_from_a_geometry() -> None:
    selector = {"$near": {"$geometry": {"type": "Point", "coordinates": [0, 0]}}}
    distance = match(selector, {"type": "Point", "coordinates": [0, 1]}).distance
    assert distance == pytest.approx(111_195, abs=1)
    selector["$near"]["$maxDistance"] = {}
    with pytest.raises(MinimongoError, match=r"\$maxDistance needs a number"):
        match(selector, None)


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({"$gt": 5, "a": 1}, r"\$gt cannot stand beside plain fields"),
        ({"a": 1, "$gt": 5}, r"\$gt cannot stand beside plain fields"),
        ({"$all": 5}, r"\$all needs an array"),
        ({"$all": [{"$gt": 5}]}, r"\$all cannot hold operators"),
        ({"$regex": 5}, r"\$regex needs"),
        ({"$regex": "a", "$options": 5}, r"\$options needs a text"),
        ({"$options": "i"}, r"\$options needs a \$regex"),
        ({"$maxDistance": 5}, r"\$maxDistance needs a \$near"),
        ({"$elemMatch": 5}, r"\$elemMatch needs an object"),
        ({"$near": 5}, r"\$near needs a pair"),
        ({"$near": {"$geometry": 5}}, r"\$near needs a pair"),
        ({"$near": [0, 0], "$maxDistance": "1"}, r"\$maxDistance needs a number"),
        ({"$not": {"$near": [0, 0]}}, r"\$near cannot stand inside"),
        ({"$geoWithin": {}}, r"\$geoWithin is not supported here.*MongoDB"),
        ({"$elemMatch": {"$gte": 1, "$or": []}}, r"\$or cannot stand at this place"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_name(selector: Any, text: str) -> None:
    with pytest.raises(MinimongoError, match=text):
        compile_value(selector, accept_all_documents, is_root=True)


def test_an_unsupported_operator_is_named() -> None:
    assert "$text" in str(unsupported("$text"))


@pytest.mark.parametrize(
    ("selector", "element", "fits"),
    [
        (5, 5, True),
        (5, [5], False),
        ([5], [5], True),
        (Regex("a"), "cat", True),
        ({"$gt": 3}, 5, True),
        ({"$gt": 3}, [5], False),
        ({"$in": [[5]]}, [5], True),
        ({"a": 1}, {"a": 1}, True),
        ({"a": 1}, [], True),
        ({"a": 1}, 5, False),
    ],
)
def test_an_element_is_tested_without_its_own_elements(
    selector: Any, element: Any, fits: bool
) -> None:
    assert element_test(selector, accept_all_documents)(element) == fits
