from typing import Any

import pytest
from pymongo.errors import OperationFailure

from bolide.core.values import UNDEFINED, Document
from bolide.server.stores.base import Query
from bolide.server.stores.embedded.database import Database
from bolide.server.stores.embedded.queries import (
    Selection,
    compile_count,
    compile_distinct,
    compile_projection,
    compile_query,
)


class Counting(Database):
    """A database that counts how it is looked at."""

    def __init__(self, *documents: Document) -> None:
        super().__init__()
        self.scans = 0
        for document in documents:
            self.load("beds", document)

    def documents(self, collection: str) -> Any:
        self.scans += 1
        return super().documents(collection)


BEDS = Counting({"_id": 1, "n": [3]}, {"_id": "b", "n": 2}, {"_id": 1.5, "n": 1})


@pytest.mark.parametrize("selector", [{"_id": 1}, {"_id": {"$in": ["b", 1]}}, {"_id": {"$eq": 1}}])
def test_an_id_is_looked_up_and_not_searched(selector: Document) -> None:
    before = BEDS.scans
    assert compile_query(Query(collection="beds", selector=selector))(BEDS)
    assert BEDS.scans == before


@pytest.mark.parametrize(
    ("selector", "ids"),
    [
        ({"_id": {"$in": ["b", None]}}, ["b"]),
        ({"_id": {"$gt": 1}}, [1.5]),
        ({"_id": {"$gt": 1, "$in": [1, 1.5]}}, [1.5]),
        ({"_id": UNDEFINED}, []),
        ({"_id": ""}, []),
        ({"_id": [1]}, []),
        ({"_id": {"$eq": {"a": 1}}}, []),
        ({"_id": {"a": 1}}, []),
    ],
    ids=repr,
)
def test_any_other_selector_finds_the_same_by_searching(selector: Document, ids: list[Any]) -> None:
    found = compile_query(Query(collection="beds", selector=selector))(BEDS)
    assert [document["_id"] for document in found] == ids


@pytest.mark.parametrize("selector", [{"$expr": {}}, {"$where": "true"}, {"n": {"$nothing": 1}}])
def test_what_does_not_compile_is_an_operation_failure(selector: Document) -> None:
    query = Query(collection="beds", selector=selector)
    with pytest.raises(OperationFailure) as caught:
        compile_query(query)
    assert caught.value.code == 2
    with pytest.raises(OperationFailure):
        compile_count(query)
    with pytest.raises(OperationFailure):
        compile_distinct("beds", "n", selector)


def test_a_sort_or_projection_that_does_not_compile_is_an_operation_failure() -> None:
    with pytest.raises(OperationFailure):
        Selection("beds", {}, (("n", 7),))
    with pytest.raises(OperationFailure):
        compile_projection({"a": 1, "b": 0})


def test_documents_that_have_no_order_are_an_operation_failure() -> None:
    database = Counting({"_id": 1, "a": [1, 2], "b": [1]}, {"_id": 2})
    selection = Selection("beds", {}, (("a", 1), ("b", 1)))
    with pytest.raises(OperationFailure, match="two arrays"):
        selection.run(database)


def test_a_sort_by_id_stays_as_it_is() -> None:
    selection = Selection("beds", {"_id": {"$in": [1, 1.5]}}, (("_id", -1),))
    assert [document["_id"] for document in selection.run(BEDS)] == [1.5, 1]


def test_a_query_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bolide.server.stores.embedded.queries.MAX_QUERY_S", -1.0)
    with pytest.raises(OperationFailure, match="took longer than") as caught:
        compile_query(Query(collection="beds", selector={"n": 1}))(BEDS)
    assert caught.value.code == 50
