import pytest
from pymongo.errors import DuplicateKeyError, OperationFailure

from bolide.server.stores.base import IndexSpec
from bolide.server.stores.embedded.database import Database
from bolide.server.stores.embedded.transaction import OpenTransaction
from bolide.server.stores.embedded.workspace import Workspace


class Ends:
    def __init__(self) -> None:
        self.count = 0

    def __call__(self) -> None:
        self.count += 1


def begin() -> tuple[OpenTransaction, Ends]:
    ends = Ends()
    return OpenTransaction(Workspace(Database()), ends), ends


def test_work_runs_in_its_workspace() -> None:
    transaction, ends = begin()
    assert transaction.run(lambda workspace: workspace) is transaction.workspace
    transaction.check()
    assert ends.count == 0


def test_an_error_of_the_database_aborts_it() -> None:
    transaction, ends = begin()
    with pytest.raises(OperationFailure, match="index not found"):
        transaction.run(lambda workspace: workspace.drop_index("beds", "a_1"))
    with pytest.raises(OperationFailure, match="aborted by an error") as caught:
        transaction.check()
    assert caught.value.code == 251
    assert ends.count == 1


def test_an_error_of_the_app_does_not_abort_it() -> None:
    transaction, _ = begin()
    with pytest.raises(ZeroDivisionError):
        transaction.run(lambda _: 1 // 0)
    transaction.check()


def test_it_ends_once() -> None:
    transaction, ends = begin()
    transaction.end()
    transaction.end()
    transaction.expire(10)
    assert ends.count == 1
    with pytest.raises(OperationFailure, match="has ended"):
        transaction.run(lambda workspace: workspace)


def test_one_that_expired_says_how_long_it_was_allowed_to_take() -> None:
    transaction, ends = begin()
    transaction.expire(2.5)
    transaction.end()
    with pytest.raises(OperationFailure, match=r"took longer than 2.5 s") as caught:
        transaction.run(lambda workspace: workspace)
    assert caught.value.code == 290
    assert ends.count == 1


def test_a_duplicate_key_aborts_it() -> None:
    transaction, ends = begin()
    transaction.workspace.create_index("beds", IndexSpec(keys=(("a", 1),), name="a", unique=True))
    transaction.workspace.insert("beds", {"_id": 1, "a": 1}, b"")
    with pytest.raises(DuplicateKeyError):
        transaction.run(lambda workspace: workspace.insert("beds", {"_id": 2, "a": 1}, b""))
    assert ends.count == 1
