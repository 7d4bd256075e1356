from typing import Any

import pytest

from bolide.server.stores.base import AccessFilter
from bolide.server.stores.pipelines import collections_of, restricted_pipeline, stages_of

OPEN = AccessFilter("ward", frozenset({"7"}))
ONLY = {"ward": {"$in": ["7"]}, "ward.0": {"$exists": False}}


RESTRICTED: list[tuple[Any, Any]] = [
    ([], [{"$match": ONLY}]),
    ([{"$limit": 1}], [{"$match": ONLY}, {"$limit": 1}]),
    ([{"$match": {"a": 1}}, {"$limit": 1}], [{"$match": {"a": 1, **ONLY}}, {"$limit": 1}]),
    ([{"$match": {"ward": "8"}}], [{"$match": {"ward": "8", "$and": [ONLY]}}]),
    (
        [{"$geoNear": {"near": [0, 0], "query": {"a": 1}}}],
        [{"$geoNear": {"near": [0, 0], "query": {"a": 1, **ONLY}}}],
    ),
    ([{"$geoNear": {"near": [0, 0]}}], [{"$geoNear": {"near": [0, 0], "query": ONLY}}]),
    # Whatever is wrong with it, it sees nothing else.
    ([{"$match": 7}], [{"$match": ONLY}]),
    ([{"$match": {}, "$limit": 1}], [{"$match": ONLY}, {"$match": {}, "$limit": 1}]),
]


@pytest.mark.parametrize(("pipeline", "restricted"), RESTRICTED)
def test_a_pipeline_begins_inside_the_access_scopes(pipeline: Any, restricted: Any) -> None:
    assert restricted_pipeline(pipeline, OPEN) == restricted
    assert restricted_pipeline(pipeline, None) == pipeline


def test_stages_of_inner_pipelines_are_found() -> None:
    pipeline: list[Any] = [
        {"$facet": {"a": [{"$count": "n"}], "b": [{"$lookup": {"pipeline": [{"$out": "x"}]}}]}},
        {"$unionWith": {"coll": "d", "pipeline": [{"$merge": {}}]}},
        7,
        {"$facet": 7},
    ]
    assert [name for name, _ in stages_of(pipeline)] == [
        "$facet", "$count", "$lookup", "$out", "$unionWith", "$merge", "$facet",
    ]  # fmt: skip
    assert collections_of(pipeline) == {"d"}
    assert collections_of("no pipeline") == set()
