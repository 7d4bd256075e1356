import pytest
from pymongo.errors import DuplicateKeyError

from bolide.core.keys import key_of
from bolide.server.stores.base import FirstInsertFailed, Insert, Receipt
from bolide.server.stores.embedded.database import Database
from bolide.server.stores.embedded.first_insert import compile_first
from bolide.server.stores.embedded.operations import compile_operation
from bolide.server.stores.embedded.workspace import Workspace

CLAIM = Insert(collection="calls", documents=[{"_id": "call-1"}])


def fail(workspace: Workspace) -> Receipt:
    raise ZeroDivisionError


def test_an_error_of_any_kind_takes_the_insert_back() -> None:
    workspace = Workspace(Database())
    with pytest.raises(ZeroDivisionError):
        compile_first(CLAIM, fail, 0)(workspace)
    assert workspace.entries == []
    assert workspace.document("calls", key_of("call-1")) is None


def test_what_others_of_the_group_wrote_before_stays() -> None:
    workspace = Workspace(Database())
    write = compile_operation(Insert(collection="beds", documents=[{"_id": 1}]), 0)
    write(workspace)
    with pytest.raises(DuplicateKeyError):
        compile_first(CLAIM, write, 0)(workspace)
    assert [entry.id for entry in workspace.entries] == [1]
    compile_first(CLAIM, lambda _: Receipt(), 0)(workspace)
    with pytest.raises(FirstInsertFailed):
        compile_first(CLAIM, fail, 0)(workspace)
    assert [entry.id for entry in workspace.entries] == [1, "call-1"]
