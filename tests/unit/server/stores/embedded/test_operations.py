from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.errors import OperationFailure, WriteError

from bolide.core.bson_codec import from_bson
from bolide.core.values import Document, Regex
from bolide.server.stores.base import (
    ChangeKind,
    Delete,
    FindAndModify,
    Insert,
    Receipt,
    Update,
    WriteOperation,
)
from bolide.server.stores.embedded.database import Database
from bolide.server.stores.embedded.operations import compile_operation
from bolide.server.stores.embedded.workspace import Workspace

NOW_MS = 1_767_225_600_000


def workspace_of(*documents: Document) -> Workspace:
    database = Database()
    for document in documents:
        database.load("beds", document)
    return Workspace(database)


def apply(operation: WriteOperation, workspace: Workspace) -> Receipt:
    return compile_operation(operation, NOW_MS)(workspace)


@pytest.mark.parametrize("id", [[1], Regex("a")], ids=["array", "pattern"])
def test_what_cannot_be_an_id_is_refused_without_quoting_it(id: Any) -> None:
    with pytest.raises(WriteError, match="_id of a document cannot be a") as caught:
        compile_operation(Insert(collection="beds", documents=[{"_id": id}]), NOW_MS)
    assert caught.value.code == 53


def test_a_document_without_an_id_is_refused() -> None:
    with pytest.raises(WriteError, match="has no _id"):
        compile_operation(Insert(collection="beds", documents=[{"ward": 1}]), NOW_MS)


def test_array_filters_are_refused_and_mongodb_is_named() -> None:
    update = Update(collection="beds", selector={}, modifier={"$set": {"a": 1}}, array_filters=[])
    with pytest.raises(OperationFailure, match="MongoDB"):
        compile_operation(update, NOW_MS)


def test_an_operation_that_does_not_compile_touches_nothing() -> None:
    for operation in (
        Update(collection="beds", selector={}, modifier={"$nothing": {"a": 1}}),
        Update(collection="beds", selector={"$nothing": 1}, modifier={"a": 1}),
        Delete(collection="beds", selector={"a": {"$nothing": 1}}),
        FindAndModify(collection="beds", selector={}, modifier=None, projection={"a": 1, "b": 0}),
        FindAndModify(collection="beds", selector={}, modifier=None, sort=(("a", 5),)),
    ):
        with pytest.raises(OperationFailure):
            compile_operation(operation, NOW_MS)


def test_the_same_operation_makes_the_same_document_again() -> None:
    work = compile_operation(
        Update(
            collection="beds",
            selector={"a": 1},
            modifier={"$currentDate": {"at": True}},
            upsert=True,
        ),
        NOW_MS,
    )
    first, second = workspace_of(), workspace_of()
    assert work(first) == work(second)
    assert first.entries == second.entries
    assert first.entries[0].after is not None
    assert first.entries[0].after["at"] == datetime(2026, 1, 1, tzinfo=UTC)


def test_what_is_recorded_is_the_document_and_its_bson() -> None:
    workspace = workspace_of({"_id": 1, "n": 1}, {"_id": 2})
    apply(Update(collection="beds", selector={"_id": 1}, modifier={"$inc": {"n": 1}}), workspace)
    apply(Update(collection="beds", selector={"_id": 2}, modifier={"m": 1}), workspace)
    apply(Delete(collection="beds", selector={"_id": 2}), workspace)
    assert [(entry.kind, entry.id, entry.after) for entry in workspace.entries] == [
        (ChangeKind.UPDATE, 1, {"_id": 1, "n": 2}),
        (ChangeKind.REPLACE, 2, {"_id": 2, "m": 1}),
        (ChangeKind.DELETE, 2, None),
    ]
    assert [entry.body and from_bson(entry.body) for entry in workspace.entries] == [
        {"_id": 1, "n": 2},
        {"_id": 2, "m": 1},
        None,
    ]


def test_a_change_shares_what_it_does_not_touch() -> None:
    before: Document = {"_id": 1, "n": 1, "doses": [{"mg": 5}]}
    workspace = workspace_of(before)
    apply(Update(collection="beds", selector={}, modifier={"$inc": {"n": 1}}), workspace)
    assert workspace.entries[0].after is not None
    assert workspace.entries[0].after["doses"] is before["doses"]


def test_the_modifier_is_copied() -> None:
    tags = ["x"]
    work = compile_operation(
        Update(collection="beds", selector={}, modifier={"$set": {"tags": tags}}), NOW_MS
    )
    tags.append("y")
    workspace = workspace_of({"_id": 1})
    work(workspace)
    assert list(workspace.documents("beds")) == [{"_id": 1, "tags": ["x"]}]


def test_a_modifier_sets_utc_milliseconds() -> None:
    workspace = workspace_of({"_id": 1})
    moment = datetime(2026, 1, 1, 0, 0, 0, 123456)
    apply(Update(collection="beds", selector={}, modifier={"$set": {"at": moment}}), workspace)
    assert list(workspace.documents("beds")) == [
        {"_id": 1, "at": datetime(2026, 1, 1, 0, 0, 0, 123000, tzinfo=UTC)}
    ]


def test_an_upsert_whose_selector_cannot_be_stored_is_a_write_error() -> None:
    update = Update(
        collection="beds", selector={"a": 1, "$and": [{"a": 2}]}, modifier={"b": 1}, upsert=True
    )
    with pytest.raises(WriteError):
        apply(update, workspace_of())
