import asyncio
import os
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import OperationFailure
from structlog.testing import capture_logs
from tests.integration.sqlite.conftest import OpenFile, StartWorker
from tests.integration.stores.support import Follower, contents, insert, update
from tests.turns import yield_once

from bolide.core.errors import ConfigurationError, StateError
from bolide.server.stores.base import IndexSpec, Insert, Query
from bolide.server.stores.sqlite import SQLiteStore
from bolide.server.stores.sqlite.file_lock import FileLock

LARGE = b"x" * 20_000
LARGE_BYTES = 30_000


async def test_everything_is_there_after_reopening(path: Path) -> None:
    store = SQLiteStore(path)
    await store.open()
    await store.create_index("beds", IndexSpec(keys=(("code", 1),), unique=True))
    await insert(store, {"_id": 2, "code": "b"}, {"_id": 1, "code": "a"})
    await update(store, {"_id": 2}, {"$set": {"n": [1, {"x": None}]}})
    before, position = await contents(store, sort=()), store.feed_position
    await store.close()
    again = SQLiteStore(path)
    await again.open()
    assert await contents(again, sort=()) == before
    assert again.feed_position == position
    with pytest.raises(OperationFailure, match="duplicate key"):
        await insert(again, {"_id": 3, "code": "a"})
    receipt = await insert(again, {"_id": 3, "code": "c"})
    assert receipt.position is not None
    assert not receipt.position <= position
    await again.close()


async def test_a_store_opens_once_and_closes_as_often_as_one_likes(path: Path) -> None:
    store = SQLiteStore(path)
    with pytest.raises(StateError, match="not open"):
        await insert(store, {"_id": 1})
    with pytest.raises(StateError, match="not open"):
        await store.read(Query(collection="beds"))
    with pytest.raises(StateError, match="not open"):
        store.listen(Follower())
    store.unlisten(Follower())
    await store.close()
    await store.open()
    with pytest.raises(StateError, match="open already"):
        await store.open()
    await store.close()
    await store.close()
    await store.open()
    await insert(store, {"_id": 1})
    await store.close()


async def test_nothing_is_left_beside_the_file_but_lock_and_folder(path: Path) -> None:
    store = SQLiteStore(path)
    await store.open()
    await store.close()
    assert {each.name for each in path.parent.iterdir()} == {
        "ward.db",
        "ward.db-lock",
        "ward.db-wake",
    }
    assert list(path.with_name("ward.db-wake").iterdir()) == []


@pytest.fixture
def letter(path: Path) -> Path:
    path.write_bytes(b"This is a letter and no database at all. " * 100)
    return path


async def test_a_file_that_cannot_be_used_is_a_configuration_error(letter: Path) -> None:
    store = SQLiteStore(letter)
    with pytest.raises(ConfigurationError, match=r"ward\.db.*is not a database"):
        await store.open()
    with pytest.raises(StateError, match="not open"):
        await insert(store, {"_id": 1})
    os.rename(letter, letter.with_name("letter"))
    await store.open()
    await store.close()


def beside(path: Path) -> tuple[bytes, list[str]]:
    return path.read_bytes(), sorted(each.name for each in path.parent.iterdir())


async def test_nothing_is_made_beside_a_file_that_is_no_database(letter: Path) -> None:
    before = beside(letter)
    with pytest.raises(ConfigurationError, match="is not a database"):
        await SQLiteStore(letter).open()
    assert beside(letter) == before


@pytest.mark.parametrize("mode", ["delete", "wal"])
@pytest.mark.parametrize("is_open", [True, False])
async def test_nothing_is_made_beside_the_database_of_another_program(
    path: Path, mode: str, is_open: bool
) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    with closing(connection):
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("CREATE TABLE theirs (x)")
        if not is_open:
            connection.close()
        before = beside(path)
        with pytest.raises(ConfigurationError, match="another program's database"):
            await SQLiteStore(path).open()
        assert beside(path) == before


async def test_a_folder_that_does_not_exist_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="create"):
        await SQLiteStore(tmp_path / "no" / "ward.db").open()


async def test_a_document_that_is_no_bson_is_a_configuration_error(path: Path) -> None:
    store = SQLiteStore(path)
    await store.open()
    await insert(store, {"_id": 1})
    await store.close()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE documents SET body = x'00'")
    with pytest.raises(ConfigurationError, match="restore a backup"):
        await store.open()


async def test_a_full_disk_refuses_the_write_and_keeps_everything_else(
    open_file: OpenFile,
) -> None:
    store = await open_file(max_bytes=200_000)
    await insert(store, {"_id": 1})
    with pytest.raises(OperationFailure, match=r"ward\.db is full.*make room") as caught:
        await insert(store, {"_id": 2, "scan": LARGE * 10})
    assert caught.value.code == 14031
    assert await contents(store) == [{"_id": 1}]
    await insert(store, {"_id": 3})
    assert await contents(store) == [{"_id": 1}, {"_id": 3}]


async def test_a_file_with_more_than_the_limit_is_not_opened(path: Path) -> None:
    store = SQLiteStore(path)
    await store.open()
    await insert(store, {"_id": 1, "scan": LARGE})
    size = store.document_bytes
    await store.close()
    assert store.document_bytes == 0
    small = SQLiteStore(path, store_max_bytes=size - 1)
    with pytest.raises(ConfigurationError, match=rf"store_max_bytes.*at least {size}.*MongoDB"):
        await small.open()
    fits = SQLiteStore(path, store_max_bytes=size)
    with capture_logs() as logs:
        await fits.open()
    assert "nearly full" in logs[0]["event"]
    await fits.close()


async def test_what_others_wrote_beyond_the_limit_is_seen_and_nothing_is_added(
    open_file: OpenFile,
) -> None:
    small, large = await open_file(store_max_bytes=LARGE_BYTES), await open_file()
    await insert(large, {"_id": 1, "scan": LARGE}, {"_id": 2, "scan": LARGE})
    assert len(await contents(small)) == 2
    with pytest.raises(OperationFailure, match="store_max_bytes"):
        await insert(small, {"_id": 3})
    await insert(large, {"_id": 3})
    assert len(await contents(small)) == 3
    assert small.document_bytes == large.document_bytes


async def test_in_a_group_only_what_does_not_fit_fails(open_file: OpenFile) -> None:
    store = await open_file(max_bytes=200_000)
    results = await asyncio.gather(
        insert(store, {"_id": 1}),
        insert(store, {"_id": 2, "scan": LARGE * 10}),
        insert(store, {"_id": 3}),
        insert(store, {"_id": 1}),
        insert(store, {"_id": 4}),
        return_exceptions=True,
    )
    assert [isinstance(result, OperationFailure) for result in results] == [
        False,
        True,
        False,
        True,
        False,
    ]
    assert await contents(store) == [{"_id": 1}, {"_id": 3}, {"_id": 4}]


async def test_a_transaction_that_does_not_fit_is_aborted(open_file: OpenFile) -> None:
    store = await open_file(max_bytes=200_000)

    async def write_too_much() -> None:
        async with store.transaction() as transaction:
            for id in range(20):
                await transaction.write(
                    Insert(collection="beds", documents=[{"_id": id, "scan": LARGE}])
                )

    with pytest.raises(OperationFailure, match="make room"):
        await write_too_much()
    assert await contents(store) == []
    await insert(store, {"_id": 1})


async def test_what_another_program_destroyed_is_reported_once_and_refused(
    open_file: OpenFile, path: Path
) -> None:
    reports: list[dict[str, Any]] = []
    reported = asyncio.Event()

    def report(_: object, context: dict[str, Any]) -> None:
        reports.append(context)
        reported.set()

    asyncio.get_running_loop().set_exception_handler(report)
    store = await open_file(look_every_s=0.005)
    await insert(store, {"_id": 1})
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE changes RENAME TO gone")
    await reported.wait()
    with pytest.raises(OperationFailure, match=r"ward\.db cannot be used"):
        await contents(store)
    with pytest.raises(OperationFailure, match=r"ward\.db cannot be used"):
        await insert(store, {"_id": 2})
    with pytest.raises(OperationFailure, match=r"ward\.db cannot be used"):
        async with store.transaction():
            raise AssertionError("It cannot begin.")
    assert len(reports) == 1
    assert "cannot see what other processes write" in reports[0]["message"]
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("ALTER TABLE gone RENAME TO changes")
    await insert(store, {"_id": 2})
    assert await contents(store) == [{"_id": 1}, {"_id": 2}]


async def test_opening_can_be_given_up_while_another_process_writes(
    path: Path, open_file: OpenFile, start_worker: StartWorker
) -> None:
    worker = await start_worker("transact")
    await worker.hear("open")
    store = SQLiteStore(path)
    opening = asyncio.ensure_future(store.open())
    await yield_once()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    worker.end_input()
    await worker.process.wait()
    assert len(await contents(await open_file(), "records")) == 1


async def test_a_write_given_up_is_still_written_or_not_at_all(open_file: OpenFile) -> None:
    store = await open_file()
    writing = asyncio.ensure_future(insert(store, {"_id": 1}))
    await yield_once()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert await contents(store) in ([], [{"_id": 1}])
    await insert(store, {"_id": 2})


async def test_a_link_leads_to_the_same_lock(path: Path, open_file: OpenFile) -> None:
    store = await open_file()
    link = path.with_name("link.db")
    link.symlink_to(path)
    other = SQLiteStore(link)
    await other.open()
    await insert(other, {"_id": 1})
    assert await contents(store) == [{"_id": 1}]
    await other.close()
    assert not path.with_name("link.db-lock").exists()


async def test_closing_ends_an_open_transaction_and_does_what_waited_for_it(path: Path) -> None:
    store = SQLiteStore(path)
    await store.open()

    async def close_within() -> None:
        async with store.transaction() as transaction:
            await transaction.write(Insert(collection="beds", documents=[{"_id": "lost"}]))
            waiting.append(asyncio.ensure_future(insert(store, {"_id": "waited"})))
            waiting.append(asyncio.ensure_future(begin_another()))
            waiting.append(asyncio.ensure_future(insert(store, {"_id": "waited longer"})))
            await yield_once()
            await store.close()

    async def begin_another() -> None:
        async with store.transaction():
            pass

    waiting: list[asyncio.Future[Any]] = []
    with pytest.raises(StateError, match="not open"):
        await close_within()
    written, transaction, later = await asyncio.gather(*waiting, return_exceptions=True)
    assert isinstance(transaction, StateError)
    assert not isinstance(written, Exception)
    assert not isinstance(later, Exception)
    await store.open()
    assert await contents(store) == [{"_id": "waited"}, {"_id": "waited longer"}]
    await store.close()


def test_a_loop_that_ended_without_closing_leaves_the_file_to_others(path: Path) -> None:
    # No sockets: one that nobody closes is reported as a leak.
    path.with_name("ward.db-wake").touch()
    store = SQLiteStore(path, look_every_s=3600)
    lock = FileLock(path.with_name("ward.db-lock"))

    async def leave_a_write_waiting() -> None:
        await store.open()
        lock.acquire()
        asyncio.ensure_future(insert(store, {"_id": 1}))  # noqa: RUF006
        await yield_once()

    asyncio.run(leave_a_write_waiting())
    [thread] = [each for each in threading.enumerate() if each.name == "bolide-sqlite"]
    lock.release()
    thread.join(10)
    assert not thread.is_alive()
    assert lock.try_acquire()
    lock.close()

    async def read_again() -> list[Any]:
        other = SQLiteStore(path)
        await other.open()
        found = await contents(other)
        await other.close()
        return found

    # Nobody was told whether it was written.
    assert asyncio.run(read_again()) in ([], [{"_id": 1}])
