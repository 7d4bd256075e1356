from typing import Any

import pytest

from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.projection import Projection
from bolide.core.minimongo.query import run_query
from bolide.core.minimongo.sorter import Sorter

DOCUMENTS: list[dict[str, Any]] = [
    {"_id": 1, "k": 2, "at": [3, 4]},
    {"_id": 2, "k": 1, "at": [0, 1]},
    {"_id": 3, "k": 2, "at": "nowhere"},
    {"_id": 4, "k": 1, "at": [0, 9]},
]


def find(selector: Any, **options: Any) -> list[Any]:
    found = run_query(iter(DOCUMENTS), matcher=Matcher(selector), **options)
    return [document["_id"] for document in found]


def test_without_a_sort_documents_stay_in_order() -> None:
    assert find({"k": 1}) == [2, 4]
    assert find({}) == [1, 2, 3, 4]


def test_a_sort_leaves_ties_in_order() -> None:
    assert find({}, sorter=Sorter({"k": 1})) == [2, 4, 1, 3]
    assert find({}, sorter=Sorter({"k": -1})) == [1, 3, 2, 4]


@pytest.mark.parametrize(
    ("skip", "limit", "ids"), [(0, 0, [1, 2, 3, 4]), (1, 0, [2, 3, 4]), (1, 2, [2, 3]), (9, 1, [])]
)
def test_skip_and_limit_cut_the_result(skip: int, limit: int, ids: list[int]) -> None:
    assert find({}, skip=skip, limit=limit) == ids
    assert find({}, skip=skip, limit=-limit) == ids


def test_near_orders_by_distance_unless_there_is_a_sort() -> None:
    near = {"at": {"$near": [0, 0]}}
    assert find(near) == [2, 1, 4]
    assert find(near, limit=1) == [2]
    assert find(near, sorter=Sorter({"k": -1})) == [1, 2, 4]


def test_a_projection_shows_a_part() -> None:
    found = run_query(DOCUMENTS, matcher=Matcher(1), projection=Projection({"k": 1}))
    assert found == [{"_id": 1, "k": 2}]


def test_documents_are_shared_and_not_copied() -> None:
    assert run_query(DOCUMENTS, matcher=Matcher(1))[0] is DOCUMENTS[0]
