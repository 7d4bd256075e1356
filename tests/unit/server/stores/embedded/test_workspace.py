from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pymongo.errors import DuplicateKeyError, OperationFailure, WriteError

from bolide.core.keys import key_of
from bolide.core.values import Document
from bolide.server.stores.base import ChangeKind, IndexSpec
from bolide.server.stores.embedded.database import Database
from bolide.server.stores.embedded.unique import UniqueIndex
from bolide.server.stores.embedded.workspace import Workspace

BY_CODE = IndexSpec(keys=(("code", 1),), name="code_1", unique=True)


def commit(database: Database, workspace: Workspace) -> Database:
    for entry in workspace.entries:
        database.apply(entry)
    return database


def database_of(*documents: Document, index: IndexSpec | None = None) -> Database:
    database = Database()
    workspace = Workspace(database)
    if index is not None:
        workspace.create_index("beds", index)
    for document in documents:
        workspace.insert("beds", document, b"")
    return commit(database, workspace)


def ids(readable: Database | Workspace) -> list[Any]:
    return [document["_id"] for document in readable.documents("beds")]


def test_changes_are_seen_in_the_workspace_only() -> None:
    database = database_of({"_id": 1}, {"_id": 2}, {"_id": 3})
    workspace = Workspace(database)
    [one, two, _] = database.documents("beds")
    workspace.insert("beds", {"_id": 4}, b"")
    workspace.change("beds", one, {"_id": 1, "n": 1}, b"", ChangeKind.UPDATE)
    workspace.delete("beds", two)
    assert list(workspace.documents("beds")) == [{"_id": 1, "n": 1}, {"_id": 3}, {"_id": 4}]
    assert workspace.document("beds", key_of(2)) is None
    assert workspace.document("beds", key_of(3)) == {"_id": 3}
    assert list(database.documents("beds")) == [{"_id": 1}, {"_id": 2}, {"_id": 3}]
    assert workspace.position == 6
    assert commit(database, workspace).position == 6
    assert list(database.documents("beds")) == [{"_id": 1, "n": 1}, {"_id": 3}, {"_id": 4}]


def test_a_document_inserted_again_comes_last_before_and_after_the_commit() -> None:
    database = database_of({"_id": 1}, {"_id": 2})
    workspace = Workspace(database)
    for _ in range(2):
        workspace.delete("beds", {"_id": 1})
        workspace.insert("beds", {"_id": 1}, b"")
    assert ids(workspace) == [2, 1]
    assert ids(commit(database, workspace)) == [2, 1]


def test_an_inserted_document_can_be_deleted_again() -> None:
    database = database_of({"_id": 1})
    workspace = Workspace(database)
    workspace.insert("beds", {"_id": 2}, b"")
    workspace.delete("beds", {"_id": 2})
    assert ids(workspace) == ids(commit(database, workspace)) == [1]


def test_an_insert_taken_back_leaves_no_trace() -> None:
    database = database_of({"_id": 1, "code": "a"}, {"_id": 2, "code": "b"}, index=BY_CODE)
    workspace = Workspace(database)
    workspace.delete("beds", {"_id": 1, "code": "a"})
    before = list(workspace.entries)
    for id in (1, 3):
        workspace.insert("beds", {"_id": id, "code": "a"}, b"")
        workspace.take_back_insert()
        assert workspace.entries == before
        assert ids(workspace) == [2]
    workspace.insert("beds", {"_id": 4, "code": "a"}, b"")
    assert ids(workspace) == ids(commit(database, workspace)) == [2, 4]


def test_a_refused_document_leaves_no_trace() -> None:
    database = database_of({"_id": 1, "code": "a"}, index=BY_CODE)
    workspace = Workspace(database)
    for document in ({"_id": 1, "code": "b"}, {"_id": 2, "code": "a"}):
        with pytest.raises(DuplicateKeyError):
            workspace.insert("beds", document, b"")
    assert workspace.entries == []
    workspace.insert("beds", {"_id": 2, "code": "b"}, b"")
    assert ids(workspace) == [1, 2]


def test_a_unique_key_moves_with_the_changes_of_the_workspace() -> None:
    database = database_of({"_id": 1, "code": "a"}, {"_id": 2, "code": "b"}, index=BY_CODE)
    workspace = Workspace(database)
    [one, two] = database.documents("beds")
    with pytest.raises(DuplicateKeyError):
        workspace.change("beds", two, {"_id": 2, "code": "a"}, b"", ChangeKind.UPDATE)
    workspace.change("beds", one, {"_id": 1, "code": "c"}, b"", ChangeKind.UPDATE)
    workspace.change("beds", two, {"_id": 2, "code": "a"}, b"", ChangeKind.UPDATE)
    with pytest.raises(DuplicateKeyError):
        workspace.insert("beds", {"_id": 3, "code": "c"}, b"")
    workspace.delete("beds", {"_id": 1, "code": "c"})
    workspace.insert("beds", {"_id": 3, "code": "c"}, b"")
    commit(database, workspace)
    with pytest.raises(DuplicateKeyError):
        Workspace(database).insert("beds", {"_id": 4, "code": "c"}, b"")
    Workspace(database).insert("beds", {"_id": 4, "code": "b"}, b"")


def test_a_unique_index_counts_the_changes_before_it() -> None:
    database = database_of({"_id": 1, "code": "a"}, {"_id": 2, "code": "a"})
    with pytest.raises(DuplicateKeyError):
        Workspace(database).create_index("beds", BY_CODE)
    workspace = Workspace(database)
    workspace.delete("beds", {"_id": 2, "code": "a"})
    workspace.create_index("beds", BY_CODE)
    with pytest.raises(DuplicateKeyError):
        workspace.insert("beds", {"_id": 3, "code": "a"}, b"")
    commit(database, workspace)
    assert database.indexes("beds") == (BY_CODE,)


def test_a_unique_index_that_cannot_hold_a_document_is_not_made() -> None:
    database = database_of({"_id": 1, "a": [1], "b": [2]})
    index = IndexSpec(keys=(("a", 1), ("b", 1)), name="ab", unique=True)
    workspace = Workspace(database)
    with pytest.raises(WriteError, match="parallel arrays"):
        workspace.create_index("beds", index)
    assert workspace.entries == []


def test_a_dropped_index_refuses_nothing_any_more() -> None:
    database = database_of({"_id": 1, "code": "a"}, index=BY_CODE)
    workspace = Workspace(database)
    workspace.drop_index("beds", "code_1")
    workspace.insert("beds", {"_id": 2, "code": "a"}, b"")
    with pytest.raises(OperationFailure, match="index not found"):
        workspace.drop_index("beds", "code_1")
    assert commit(database, workspace).indexes("beds") == ()


def test_an_index_is_made_once_and_not_with_other_options() -> None:
    database = database_of(index=BY_CODE)
    workspace = Workspace(database)
    workspace.create_index("beds", BY_CODE)
    assert workspace.entries == []
    for other in (
        IndexSpec(keys=(("code", 1),), name="other"),
        IndexSpec(keys=(("name", 1),), name="code_1"),
    ):
        with pytest.raises(OperationFailure, match="conflicts with code_1"):
            workspace.create_index("beds", other)


def test_dropping_a_collection_drops_what_the_workspace_did_to_it() -> None:
    database = database_of({"_id": 1, "code": "a"}, index=BY_CODE)
    workspace = Workspace(database)
    workspace.insert("beds", {"_id": 2, "code": "b"}, b"")
    workspace.drop_collection("beds")
    assert ids(workspace) == []
    workspace.insert("beds", {"_id": 3, "code": "a"}, b"")
    workspace.insert("beds", {"_id": 4, "code": "a"}, b"")
    assert ids(commit(database, workspace)) == [3, 4]
    assert database.indexes("beds") == ()


def test_dropping_nothing_changes_nothing() -> None:
    workspace = Workspace(Database())
    workspace.drop_collection("beds")
    assert workspace.entries == []
    Workspace(database_of(index=BY_CODE)).drop_collection("beds")


def size_of(document: Document) -> int:
    return len(str(document))


def test_what_makes_the_data_too_large_is_refused_and_what_is_smaller_is_not() -> None:
    database = Database(max_size=100)
    workspace = Workspace(database)
    workspace.insert("beds", {"_id": 1}, b"x" * 60)
    with pytest.raises(WriteError, match=r"60 bytes of 100.*MongoDB") as caught:
        workspace.insert("beds", {"_id": 2}, b"x" * 41)
    assert caught.value.code == 146
    workspace.insert("beds", {"_id": 2}, b"x" * 40)
    with pytest.raises(WriteError, match="store_max_bytes"):
        workspace.change("beds", {"_id": 2}, {"_id": 2, "n": 1}, b"x" * 41, ChangeKind.UPDATE)
    commit(database, workspace)
    database.max_size = 50
    workspace = Workspace(database)
    workspace.change("beds", {"_id": 1}, {"_id": 1, "n": 1}, b"x" * 59, ChangeKind.UPDATE)
    workspace.delete("beds", {"_id": 2})
    assert workspace.size == 59
    workspace.drop_collection("beds")
    assert workspace.size == 0
    workspace.insert("beds", {"_id": 2}, b"x" * 50)
    assert commit(database, workspace).size == 50


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["insert", "change", "delete", "drop", "commit"]),
        st.integers(0, 3),
        st.sampled_from(["a", "b", "c", ["a", "b"], None]),
    ),
    max_size=30,
)


@settings(max_examples=100, deadline=None)
@given(STEPS)
def test_a_workspace_shows_what_its_commit_will_make(steps: list[tuple[str, int, Any]]) -> None:
    database = database_of(index=BY_CODE)
    workspace = Workspace(database)
    for step, id, code in steps:
        document: Document = {"_id": id, "code": code}
        known = workspace.document("beds", key_of(id))
        if step == "commit":
            shown, size = list(workspace.documents("beds")), workspace.size
            commit(database, workspace)
            assert database.size == size == sum(map(size_of, shown))
            assert list(database.documents("beds")) == shown
            assert database.position == workspace.position - len(workspace.entries)
            workspace = Workspace(database)
            continue
        try:
            if step == "insert":
                workspace.insert("beds", document, b"x" * size_of(document))
            elif step == "change" and known is not None:
                body = b"x" * size_of(document)
                workspace.change("beds", known, document, body, ChangeKind.UPDATE)
            elif step == "delete" and known is not None:
                workspace.delete("beds", known)
            elif step == "drop":
                workspace.drop_collection("beds")
                workspace.create_index("beds", BY_CODE)
        except DuplicateKeyError:
            assert step in ("insert", "change")
    keys = [
        key
        for document in workspace.documents("beds")
        for key in UniqueIndex(BY_CODE).keys(document)
    ]
    assert len(keys) == len(set(keys))
