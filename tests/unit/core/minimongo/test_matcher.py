import math
from typing import Any

import pytest

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import (
    MAX_SELECTOR_NESTING,
    ElementMatcher,
    Match,
    Matcher,
)
from bolide.core.values import UNDEFINED, ObjectId

ID = ObjectId("0" * 24)


def matches(selector: Any, document: dict[str, Any]) -> bool:
    """Return the answer, after checking that both forms agree."""
    matcher = Matcher(selector)
    answer = matcher.matches(document)
    assert matcher.match(document).matched == answer
    return answer


@pytest.mark.parametrize(
    "selector",
    [None, UNDEFINED, False, "", 0, {"_id": None}, {"_id": 0}, {"_id": math.nan}, {"_id": False}],
)
def test_what_is_falsy_selects_nothing(selector: Any) -> None:
    assert not matches(selector, {"_id": 0})
    assert not matches(selector, {})


def test_an_undefined_id_selects_nothing() -> None:
    assert not matches({"_id": UNDEFINED, "a": 1}, {"a": 1})


def test_an_empty_selector_selects_everything() -> None:
    assert matches({}, {})


@pytest.mark.parametrize("identity", ["x", 7, ID])
def test_an_id_selects_its_document(identity: Any) -> None:
    assert matches(identity, {"_id": identity})
    assert not matches(identity, {"_id": "y"})
    assert Matcher(identity).paths == {"_id"}


@pytest.mark.parametrize("selector", [True, [], [{}], b"x"])
def test_other_values_are_no_selectors(selector: Any) -> None:
    with pytest.raises(MinimongoError, match="must be an object"):
        Matcher(selector)


@pytest.mark.parametrize(
    ("selector", "document"),
    [
        ({"a": "x"}, {"a": "x"}),
        ({"a": "x"}, {"a": ["y", "x"]}),
        ({"a": ID}, {"a": ID}),
        ({"a": 1, "b": 2}, {"a": 1, "b": 2}),
        ({"a": None}, {}),
        ({"a.b": 1}, {"a": {"b": 1}}),
        ({"a.b": 1}, {"a": [{"b": 2}, {"b": 1}]}),
        ({"a.b.c": 1}, {"a": {"b": {"c": 1}}}),
        ({"a.b": None}, {"a": 5}),
        ({"a.b": None}, {}),
        ({"a.0": 5}, {"a": [5]}),
        ({"a.0.b": 5}, {"a": [{"b": 5}]}),
        ({"$and": [{"a": 1}, {"b": 2}]}, {"a": 1, "b": 2}),
        ({"$or": [{"a": 1}, {"b": 2}]}, {"b": 2}),
        ({"$nor": [{"a": 1}, {"b": 2}]}, {}),
        ({"$comment": "why"}, {}),
        ({"a": {"$elemMatch": {"b": 1, "c": 2}}}, {"a": [5, {"b": 1, "c": 2}]}),
        ({"a": {"$elemMatch": {"0": 1}}}, {"a": [[2], [1]]}),
        ({"a": {"$elemMatch": {"$or": [{"b": 1}, {"b": 2}]}}}, {"a": [{"b": 2}]}),
    ],
)
def test_matches(selector: Any, document: dict[str, Any]) -> None:
    assert matches(selector, document)


@pytest.mark.parametrize(
    ("selector", "document"),
    [
        ({"a": "x"}, {"a": "y"}),
        ({"a": "x"}, {"a": ["y"]}),
        ({"a": "x"}, {}),
        ({"a": 1, "b": 2}, {"a": 1, "b": 3}),
        ({"a": 1}, {"a": True}),
        ({"a": None}, {"a": 0}),
        ({"a.b": 1}, {"a": [[{"b": 1}]]}),
        ({"a.b": 1}, {"a": 1}),
        ({"a.b": None}, {"a": []}),
        ({"a.0": 5}, {"a": [[5]]}),
        ({"$and": [{"a": 1}, {"b": 2}]}, {"a": 1}),
        ({"$or": [{"a": 1}, {"b": 2}]}, {}),
        ({"$nor": [{"a": 1}, {"b": 2}]}, {"b": 2}),
        ({"a": {"$elemMatch": {"b": 1, "c": 2}}}, {"a": [{"b": 1}, {"c": 2}]}),
    ],
)
def test_does_not_match(selector: Any, document: dict[str, Any]) -> None:
    assert not matches(selector, document)


@pytest.mark.parametrize(
    ("selector", "document", "indices"),
    [
        ({"a": 5}, {"a": 5}, None),
        ({"a": 5}, {"a": [4, 5]}, (1,)),
        ({"a.b": 5}, {"a": [{}, {"b": [4, 5]}]}, (1, 1)),
        ({"a.1.b": 5}, {"a": [{}, {"b": 5}]}, (1,)),
        ({"a": {"$elemMatch": {"b": 5}}}, {"a": [{}, {"b": 5}]}, (1,)),
        ({"a": 5, "b": 5}, {"a": [5], "b": [4, 5]}, (1,)),
        ({"$and": [{"a": 5}]}, {"a": [4, 5]}, (1,)),
        ({"$or": [{"a": 5}]}, {"a": [4, 5]}, (1,)),
        ({"$or": [{"a": 5}, {"b": 5}]}, {"a": [4, 5]}, None),
        ({"a": {"$ne": 5}}, {"a": [4, 6]}, None),
    ],
)
def test_a_match_names_the_array_elements(
    selector: Any, document: dict[str, Any], indices: tuple[int, ...] | None
) -> None:
    assert Matcher(selector).match(document) == Match(True, indices)


def test_paths_are_those_the_answer_depends_on() -> None:
    selector = {
        "a.b": 1,
        "$or": [{"c": {"$elemMatch": {"d": 1}}}, {"$and": [{"e.0": {"$gt": 1}}]}],
        "$comment": "f",
    }
    assert Matcher(selector).paths == {"a.b", "c", "e.0"}
    assert Matcher(None).paths == frozenset()


def test_near_gives_the_distance() -> None:
    matcher = Matcher({"at": {"$near": [0, 0], "$maxDistance": 9}, "ward": "A"})
    assert matcher.has_near
    assert matcher.match({"at": [3, 4], "ward": "A"}).distance == 5
    assert not matcher.matches({"at": [30, 40], "ward": "A"})
    assert not Matcher({"at": [3, 4]}).has_near
    assert not Matcher(None).has_near


@pytest.mark.parametrize(
    ("selector", "text"),
    [
        ({"$where": "true"}, r"\$where is not supported here.*MongoDB"),
        ({"$expr": {}}, r"\$expr is not supported"),
        ({"$not": {"a": 1}}, r"\$not cannot stand at this place"),
        ({"$or": []}, r"\$or needs an array"),
        ({"$and": 5}, r"\$and needs an array"),
        ({"$nor": [5]}, r"\$nor can hold selectors only"),
        ({"$and": [{"a": {"$near": [0, 0]}}]}, r"\$near cannot stand inside"),
        ({"a": {"$elemMatch": {"b": {"$near": [0, 0]}}}}, r"\$near cannot stand inside"),
        ({"a": {"$zzzz": 5}}, r"\$zzzz is no operator of a selector\."),
        ({"a": {"$gtt": 5}}, r"\$gtt is no operator of a selector: did you mean \$gt\?"),
    ],
)
def test_what_is_not_understood_is_refused_with_its_name(selector: Any, text: str) -> None:
    with pytest.raises(MinimongoError, match=text):
        Matcher(selector)


def nested(levels: int) -> dict[str, Any]:
    selector: dict[str, Any] = {"a": 1}
    for _ in range((levels - 1) // 2):
        selector = {"$and": [selector]}
    return selector


def test_a_selector_has_a_nesting_limit() -> None:
    assert matches(nested(MAX_SELECTOR_NESTING), {"a": 1})
    for compile_one in (Matcher, ElementMatcher):
        with pytest.raises(MinimongoError, match="at most 100 levels"):
            compile_one(nested(MAX_SELECTOR_NESTING + 2))


@pytest.mark.parametrize(
    ("selector", "element", "fits"),
    [
        (5, 5.0, True),
        (5, [5], False),
        ({"$gt": 3}, 5, True),
        ({"a": {"$gt": 3}}, {"a": 5, "b": 1}, True),
        ({"a": {"$gt": 3}}, {"a": 2}, False),
        ({"a": {"$gt": 3}}, 5, False),
        ({"$or": [{"a": 1}, {"a": 2}]}, {"a": 2}, True),
    ],
)
def test_an_element_matcher_tests_elements(selector: Any, element: Any, fits: bool) -> None:
    assert ElementMatcher(selector).matches(element) == fits
