from typing import Any

import pytest

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.mongodb_only import (
    MONGODB_ONLY,
    differing_operator,
    mongodb_only_operator,
)


@pytest.mark.parametrize(
    ("selector", "operator"),
    [
        ({}, ""),
        ({"a": {"$gt": 1}}, ""),
        ({"$where": "true"}, "$where"),
        ({"a": 1, "$or": [{"b": 1}, {"$expr": True}]}, "$expr"),
        ({"$expr": True, "$text": {"$search": "a"}}, "$text"),
        ({"a": {"$geoWithin": {}}}, "$geoWithin"),
        ("an id", ""),
    ],
)
def test_an_operator_that_only_mongodb_has_is_found(selector: Any, operator: str) -> None:
    assert mongodb_only_operator(selector) == operator


OTHERWISE: list[tuple[Any, str]] = [
    ({"a": 1, "$or": [{"b": {"$type": "array"}}]}, "$type"),
    ({"a": {"$not": {"$type": ["string", 1]}}}, "$type"),
    ({"a": {"$type": ["number", "int", "long", 2, []]}}, ""),
    ({"a": {"$near": [0, 0]}}, "$near"),
    ({"a": {"$exists": True}}, ""),
]


@pytest.mark.parametrize(("selector", "operator"), OTHERWISE)
def test_an_operator_that_mongodb_takes_otherwise_is_found(selector: Any, operator: str) -> None:
    assert differing_operator(selector) == operator


@pytest.mark.parametrize("operator", MONGODB_ONLY)
def test_none_of_them_is_evaluated_here(operator: str) -> None:
    for selector in ({operator: 1}, {"a": {operator: 1}}):
        with pytest.raises(MinimongoError, match="needs MongoDB"):
            Matcher(selector)
