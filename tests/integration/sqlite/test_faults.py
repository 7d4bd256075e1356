"""What disks and people do to a database file: a clear error, or the truth."""

import os
import random
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pymongo.errors import OperationFailure
from structlog.testing import capture_logs
from tests.integration.sqlite.conftest import OpenFile, StartWorker
from tests.integration.stores.support import contents, insert, update

from bolide.core.bson_codec import to_bson
from bolide.core.errors import ConfigurationError
from bolide.server import App
from bolide.server.stores.base import IndexSpec, Insert
from bolide.server.stores.sqlite import SQLiteStore
from bolide.server.stores.sqlite.file import SQLiteFile
from bolide.server.stores.sqlite.file_lock import FileLock
from bolide.server.stores.sqlite.schema import APPLICATION_ID, SCHEMA_VERSION
from bolide.server.testing import TestNode

KILLS = int(os.environ.get("BOLIDE_TESTS_STORE_KILLS", "20"))

VERSION_1 = f"""
CREATE TABLE documents (
    ord INTEGER PRIMARY KEY, collection TEXT NOT NULL, id BLOB NOT NULL, body BLOB NOT NULL,
    UNIQUE (collection, id)
);
CREATE TABLE indexes (collection TEXT PRIMARY KEY, body BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, collection TEXT NOT NULL,
    id BLOB, body BLOB
);
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = 1;
"""


@pytest.fixture
async def filled(path: Path) -> list[dict[str, object]]:
    """A file with documents that was closed in good order; returns them."""
    documents: list[dict[str, object]] = [
        {"_id": id, "name": f"Ada {id}", "ward": id % 5} for id in range(1, 101)
    ]
    store = SQLiteStore(path)
    await store.open()
    await store.create_index("beds", IndexSpec(keys=(("ward", 1),)))
    await insert(store, *documents)
    await store.close()
    return documents


def spoil(path: Path, change: Callable[[bytearray], None]) -> None:
    content = bytearray(path.read_bytes())
    change(content)
    path.write_bytes(content)


async def refused(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        await SQLiteStore(path).open()
    return str(caught.value)


@pytest.mark.usefixtures("filled")
async def test_a_letter_that_changed_in_a_document_is_found(path: Path) -> None:
    def misspell(content: bytearray) -> None:
        # The document itself and its change.
        while (place := content.find(b"Ada 42")) >= 0:
            content[place : place + 6] = b"Ade 42"

    spoil(path, misspell)
    text = await refused(path)
    assert "restore a backup (a row differs from its checksum)" in text
    assert "Ad" not in text.replace(str(path), "")


def flip_bits_one_at_a_time(path: Path, filled: list[dict[str, object]]) -> dict[str, int]:
    """Load the file with each of some bits flipped; counts what came of it."""
    source, sound = random.Random(5), path.read_bytes()
    outcomes = {"refused": 0, "harmless": 0}
    for _ in range(150):
        content = bytearray(sound)
        content[source.randrange(len(sound))] ^= 1 << source.randrange(8)
        path.write_bytes(content)
        try:
            with closing(SQLiteFile(path, max_bytes=None, history=1000)) as file:
                found = list(file.load().documents("beds"))
        except (ConfigurationError, sqlite3.Error, ValueError):
            outcomes["refused"] += 1
        else:
            assert found == filled
            outcomes["harmless"] += 1
    return outcomes


async def test_a_flipped_bit_anywhere_is_found_or_does_no_harm(
    path: Path, filled: list[dict[str, object]]
) -> None:
    outcomes = flip_bits_one_at_a_time(path, filled)
    assert min(outcomes.values()) > 20


async def test_a_change_that_is_damaged_stops_who_reads_it(open_file: OpenFile, path: Path) -> None:
    store, other = await open_file(look_every_s=3600), await open_file(look_every_s=3600)
    await contents(other)
    await insert(store, {"_id": 1, "name": "Ada"})
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("UPDATE changes SET crc = crc + 1")
        connection.execute("UPDATE documents SET crc = crc + 1")
    late = SQLiteStore(path)
    with pytest.raises(ConfigurationError, match="restore a backup"):
        await late.open()
    # One more, so that there is something to catch up with.
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("INSERT INTO changes (kind, collection, crc) VALUES ('drop', 'beds', 0)")
    with pytest.raises(OperationFailure, match="is damaged: stop all nodes") as caught:
        await contents(other)
    assert "Ada" not in str(caught.value)


async def test_a_file_of_version_1_is_taken_over_with_all_it_has(
    open_file: OpenFile, path: Path
) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(VERSION_1)
        for seq, id in enumerate((7, 3, 5), 1):
            row = ("beds", to_bson({"_id": id}), to_bson({"_id": id, "n": seq}))
            connection.execute("INSERT INTO documents (collection, id, body) VALUES (?, ?, ?)", row)
            connection.execute(
                "INSERT INTO changes VALUES (?, 'insert', ?, ?, ?)", (seq + 40, *row)
            )
        connection.execute("DELETE FROM changes WHERE seq < 43")
        index = {"keys": [["n", 1]], "name": "n_1", "unique": True, "sparse": False}
        connection.execute(
            "INSERT INTO indexes VALUES ('beds', ?)", (to_bson({"indexes": [index]}),)
        )
    store = await open_file()
    assert [one["_id"] for one in await contents(store, sort=())] == [7, 3, 5]
    assert [index.name for index in await store.indexes("beds")] == ["n_1"]
    receipt = await insert(store, {"_id": 9, "n": 9})
    assert receipt.position == 44
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert len(await contents(await open_file())) == 4


async def test_a_process_of_an_older_version_stops_at_a_file_that_was_taken_over(
    open_file: OpenFile, path: Path
) -> None:
    old = await open_file(look_every_s=3600)
    await insert(old, {"_id": 1})
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION + 1}")
    for attempt in (contents(old), insert(old, {"_id": 2})):
        with pytest.raises(OperationFailure, match="taken over by another version"):
            await attempt
    assert f"this is {SCHEMA_VERSION + 1}: upgrade Bolide" in await refused(path)


async def test_without_the_log_of_a_killed_process_the_file_is_older_and_whole(
    open_file: OpenFile, start_worker: StartWorker, path: Path
) -> None:
    first = SQLiteStore(path)
    await first.open()
    await insert(first, *({"_id": half, "pair": "first"} for half in "ab"), collection="records")
    await first.close()
    worker = await start_worker("crowd")
    for _ in range(30):
        await worker.hear("done")
    worker.process.kill()
    await worker.process.wait()
    path.with_name(f"{path.name}-wal").unlink()
    path.with_name(f"{path.name}-shm").unlink()
    store = await open_file()
    assert "first" in await assert_pairs_are_whole(store)
    await insert(store, {"_id": "more"}, collection="records")


async def assert_pairs_are_whole(store: SQLiteStore) -> set[str]:
    """Check that of each pair both are there; returns the pairs."""
    pairs = [one["pair"] for one in await contents(store, "records")]
    assert sorted(pairs) == sorted([*set(pairs), *set(pairs)])
    return set(pairs)


async def test_kills_within_group_commits_lose_nothing_and_cut_nothing(
    open_file: OpenFile, start_worker: StartWorker
) -> None:
    source, acknowledged = random.Random(9), set[str]()
    survivor = await open_file()
    for _ in range(KILLS):
        worker = await start_worker("crowd")
        for _ in range(source.randrange(1, 60)):
            acknowledged.add(await worker.hear("done"))
        worker.process.kill()
        lines = await worker.rest("done")
        # The last line may have been cut.
        acknowledged.update(lines[:-1])
        assert acknowledged <= await assert_pairs_are_whole(survivor)
    reopened = await open_file()
    assert await contents(reopened, "records", sort=()) == await contents(
        survivor, "records", sort=()
    )


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB of its own."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("Only root can mount a small file system.")
    place = tmp_path / "disk"
    place.mkdir()
    mounting = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(place)], capture_output=True
    )
    if mounting.returncode != 0:
        pytest.skip("This machine does not let root mount a file system.")
    yield place
    subprocess.run(["umount", "--lazy", str(place)], check=True)


async def test_a_disk_that_is_full_refuses_writes_until_there_is_room(small_disk: Path) -> None:
    ballast = small_disk / "ballast"
    store = SQLiteStore(small_disk / "ward.db")
    await store.open()
    await insert(store, {"_id": 1})
    ballast.write_bytes(b"x" * 1_000_000)
    written = 1

    async def fill() -> None:
        nonlocal written
        while written < 1000:
            await insert(store, {"_id": written + 1, "scan": b"x" * 20_000})
            written += 1

    with pytest.raises(OperationFailure, match="make room") as caught:
        await fill()
    assert caught.value.code == 14031
    assert len(await contents(store)) == written
    ballast.unlink()
    await insert(store, {"_id": "after"})
    await store.close()
    await store.open()
    assert len(await contents(store)) == written + 1
    await store.close()


@pytest.fixture
def read_only_view(small_disk: Path) -> Iterator[Path]:
    """The small disk once more, mounted read-only."""
    view = small_disk.with_name("view")
    view.mkdir()
    subprocess.run(["mount", "--bind", str(small_disk), str(view)], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", str(view)], check=True)
    yield view
    subprocess.run(["umount", "--lazy", str(view)], check=True)


async def test_a_file_on_a_read_only_mount_is_refused_and_stays_usable_elsewhere(
    small_disk: Path, read_only_view: Path
) -> None:
    store = SQLiteStore(small_disk / "ward.db")
    await store.open()
    await insert(store, {"_id": 1, "n": 0})
    text = await refused(read_only_view / "ward.db")
    assert "this user may write to" in text
    await update(store, {"_id": 1}, {"$inc": {"n": 1}})
    assert await contents(store) == [{"_id": 1, "n": 1}]
    await store.close()


async def test_a_group_that_met_a_full_disk_is_done_again_one_by_one(small_disk: Path) -> None:
    store = SQLiteStore(small_disk / "ward.db")
    await store.open()
    (small_disk / "ballast").write_bytes(b"x" * 1_400_000)
    async with store.transaction() as transaction:
        await transaction.write(Insert(collection="beds", documents=[{"_id": 1}]))
    with pytest.raises(OperationFailure, match="make room"):
        await insert(store, {"_id": 2, "scan": b"x" * 900_000})
    assert await contents(store) == [{"_id": 1}]
    await store.close()


async def test_a_write_does_not_wait_for_a_process_that_does_not_go_on(
    open_file: OpenFile, path: Path
) -> None:
    store = await open_file(lock_timeout_s=0.05)
    held = FileLock(path.with_name(f"{path.name}-lock"))
    held.acquire(10)
    with closing(held):
        with capture_logs() as logs:
            for id in (1, 2):
                with pytest.raises(OperationFailure, match=f"Nothing.*process {os.getpid()}"):
                    await insert(store, {"_id": id})
            with pytest.raises(OperationFailure, match="Nothing was written"):
                async with store.transaction():
                    pass
        assert [log["event"] for log in logs] == [
            "the store is blocked: continue or end the process that holds it"
        ]
        assert store.blocked_because == f"process {os.getpid()} holds the lock of the store and" + (
            " does not go on"
        )
        assert await contents(store) == []
    await insert(store, {"_id": 3})
    assert store.blocked_because == ""
    assert await contents(store) == [{"_id": 3}]


async def test_nobody_waits_for_ever_to_open_a_file(open_file: OpenFile, path: Path) -> None:
    await open_file()
    held = FileLock(path.with_name(f"{path.name}-lock"))
    held.acquire(10)
    with (
        closing(held),
        pytest.raises(ConfigurationError, match=f"process {os.getpid()} holds its lock"),
    ):
        await open_file(lock_timeout_s=0.05)
    await open_file()


async def test_a_node_that_cannot_write_is_not_ready(path: Path) -> None:
    store = SQLiteStore(path, lock_timeout_s=0.05)
    async with TestNode(App(), store=store) as node:
        assert await node.node.check_ready()
        held = FileLock(path.with_name(f"{path.name}-lock"))
        held.acquire(10)
        with closing(held):
            with pytest.raises(OperationFailure):
                await insert(store, {"_id": 1})
            assert not await node.node.check_ready()
        await insert(store, {"_id": 1})
        assert await node.node.check_ready()
