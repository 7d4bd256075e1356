from typing import Any

import pytest

from bolide.core.values import ObjectId
from bolide.server.livequery.polling.polled_result import relevant_selector
from bolide.server.stores.base import AccessFilter, Query
from bolide.server.stores.evaluation import Aggregation

OID = ObjectId("0123456789abcdef01234567")


RELEVANT: list[tuple[Any, Any]] = [
    ({}, {}),
    ({"$where": "true"}, {}),
    ({"a": "x", "$expr": True}, {"$and": [{"a": "x"}]}),
    ({"a": {"$eq": OID}, "b.c": OID}, {"$and": [{"a": {"$eq": OID}}, {"b.c": OID}]}),
    ({"a": {"$in": ["x", "y"]}}, {"$and": [{"a": {"$in": ["x", "y"]}}]}),
    ({"$and": [{"a": "x"}, {"$text": {}}, 7]}, {"$and": [{"a": "x"}]}),
    # Of these minimongo and MongoDB may think differently.
    ({"a": 1, "b": None, "c": {"d": "x"}, "_id": "", "e": True}, {}),
    ({"a": {"$in": ["x", 1]}, "b": {"$in": "x"}, "c": {"$gt": "x"}}, {}),
    ({"a": {"$eq": "x", "$ne": "y"}, "$or": [{"a": "x"}], "$and": {}}, {}),
]


@pytest.mark.parametrize(("selector", "relevant"), RELEVANT)
def test_the_relevant_part_is_what_is_certain(
    selector: dict[str, Any], relevant: dict[str, Any]
) -> None:
    assert relevant_selector(Query(collection="c", selector=selector)) == relevant


def test_access_scopes_are_always_relevant() -> None:
    query = Query(
        collection="c",
        selector={"a": "x"},
        access=AccessFilter("ward", frozenset({"8", "7"})),
    )
    assert relevant_selector(query) == {"$and": [{"a": "x"}, {"ward": {"$in": ["7", "8"]}}]}


@pytest.mark.parametrize(
    ("pipeline", "relevant"),
    [
        ((), {}),
        (({"$match": {"a": "x", "b": 1}}, {"$match": {"c": "x"}}), {"$and": [{"a": "x"}]}),
        (({"$limit": 1}, {"$match": {"a": "x"}}), {}),
    ],
)
def test_of_a_pipeline_the_first_stage_is_relevant(pipeline: Any, relevant: Any) -> None:
    query = Aggregation(collection="c", name="rows", pipeline=pipeline)
    assert relevant_selector(query) == relevant
