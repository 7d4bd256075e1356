import asyncio
import os
import random
import signal
from pathlib import Path
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError, OperationFailure
from tests.integration.sqlite.conftest import OpenFile, StartWorker
from tests.integration.stores.support import (
    Follower,
    contents,
    insert,
    replay,
    update,
    write_at_random,
)

from bolide.core.keys import key_of
from bolide.core.values import Document
from bolide.server.stores.base import Delete, IndexSpec, Insert, Query, Update
from bolide.server.stores.sqlite import SQLiteStore


async def test_a_write_of_another_process_is_read_as_soon_as_it_is_acknowledged(
    open_file: OpenFile, start_worker: StartWorker
) -> None:
    # This store never looks by itself, so only the look before each read can find it.
    store = await open_file(look_every_s=3600)
    recorder = await start_worker("record", "20")
    for number in range(20):
        id = await recorder.hear("done")
        assert len(await contents(store, "records")) > number
        assert await store.count(Query(collection="records", selector={"_id": id})) == 1


async def test_the_feed_tells_what_another_process_wrote(
    open_file: OpenFile, start_worker: StartWorker
) -> None:
    store = await open_file()
    follower = await start_worker("follow")
    await follower.hear("following")
    await insert(store, {"_id": "a"}, {"_id": "b"})
    assert [await follower.hear("seen") for _ in range(2)] == ["a", "b"]
    here = Follower()
    store.listen(here)
    recorder = await start_worker("record", "5")
    ids = await recorder.rest("done")
    end = await store.read(Query(collection="records"))
    await store.feed_reached(end.position)
    assert [change.id for change in here.changes] == ids


async def test_processes_wake_each_other(open_file: OpenFile, start_worker: StartWorker) -> None:
    store = await open_file(look_every_s=3600)
    heard = asyncio.Event()

    class Wakened(Follower):
        def changes_received(self, batch: Any) -> None:
            heard.set()

    store.listen(Wakened())
    await start_worker("record", "1")
    await heard.wait()


async def test_no_update_is_lost_between_four_processes_with_four_writers_each(
    open_file: OpenFile, start_worker: StartWorker
) -> None:
    updates = int(os.environ.get("BOLIDE_TESTS_COUNTER_UPDATES", "8000")) // 16 * 16
    workers = await asyncio.gather(
        *(start_worker("count", str(updates // 4), "4") for _ in range(4))
    )
    done = await asyncio.gather(*(worker.rest("done") for worker in workers))
    assert [len(steps) for steps in done] == [updates // 4] * 4
    store = await open_file()
    assert await contents(store, "counters") == [{"_id": "shared", "n": updates}]


async def test_a_client_that_changes_process_reads_its_own_writes_under_load(
    open_file: OpenFile, start_worker: StartWorker
) -> None:
    # No looks of its own, and wake-ups that come too late to be the reason.
    stores = [await open_file(look_every_s=3600) for _ in range(2)]
    await insert(stores[0], {"_id": "mine", "n": 0})
    await asyncio.gather(*(start_worker("crowd") for _ in range(2)))
    for step in range(1, 101):
        await update(stores[step % 2], {"_id": "mine"}, {"$set": {"n": step}})
        for store in reversed(stores):
            assert await contents(store, selector={"_id": "mine"}) == [{"_id": "mine", "n": step}]


async def test_a_process_that_was_stopped_while_history_was_lost_shows_the_truth_again(
    open_file: OpenFile, start_worker: StartWorker
) -> None:
    history = 100
    store = await open_file(history=history)
    await insert(store, *({"_id": id, "n": id % 7} for id in range(100)), collection="records")
    board = await start_worker("board", str(history))
    assert await board.ask("view") == "20 0"
    await insert(store, {"_id": "new", "n": 50}, collection="records")
    assert await board.ask("view") == "20 0"
    board.process.send_signal(signal.SIGSTOP)
    source = random.Random(1)
    for _ in range(3 * history):
        await store.write(
            Update(
                collection="records",
                selector={"_id": source.randrange(1, 100)},
                modifier={"$set": {"n": source.randrange(1000)}},
            )
        )
    await store.write(Delete(collection="records", selector={"_id": "new"}))
    board.process.send_signal(signal.SIGCONT)
    assert await board.ask("view") == "20 1"
    await insert(store, {"_id": "newer", "n": 2000}, collection="records")
    assert await board.ask("view") == "20 1"


@pytest.mark.parametrize("after", [1, 7, 40])
async def test_a_killed_process_loses_nothing_it_acknowledged(
    open_file: OpenFile, start_worker: StartWorker, after: int
) -> None:
    survivor = await open_file()
    await insert(survivor, {"_id": "before"}, collection="records")
    worker = await start_worker("record")
    acknowledged = [await worker.hear("done") for _ in range(after)]
    worker.process.kill()
    acknowledged += await worker.rest("done")
    # The last one may have been written without anybody being told, and half a line is no answer.
    stored = {document["_id"] for document in await contents(survivor, "records")}
    assert {"before", *acknowledged} <= stored
    assert len(stored) <= len(acknowledged) + 2
    await insert(survivor, {"_id": "after"}, collection="records")
    reopened = await open_file()
    assert {document["_id"] for document in await contents(reopened, "records")} == {
        *stored,
        "after",
    }


async def test_a_process_killed_in_a_transaction_leaves_neither_writes_nor_lock(
    open_file: OpenFile, start_worker: StartWorker
) -> None:
    store = await open_file()
    worker = await start_worker("transact")
    await worker.hear("open")
    waiting = asyncio.ensure_future(insert(store, {"_id": "mine"}, collection="records"))
    assert await contents(store, "records") == []
    assert not waiting.done()
    worker.process.kill()
    await waiting
    assert await contents(store, "records") == [{"_id": "mine"}]


async def test_a_transaction_of_another_process_is_one_batch(
    open_file: OpenFile, path: Path
) -> None:
    # Two stores of one process are as far apart as two processes: they share the file only.
    store, other = await open_file(), await open_file()
    follower = Follower()
    store.listen(follower)
    async with other.transaction() as transaction:
        for id in range(3):
            await transaction.write(Insert(collection="beds", documents=[{"_id": id}]))
    assert transaction.receipt is not None
    assert transaction.receipt.position is not None
    snapshot = await store.read(Query(collection="beds"), after=transaction.receipt.position)
    assert len(snapshot.documents) == 3
    await store.feed_reached(transaction.receipt.position)
    assert [[change.id for change in batch] for batch in follower.batches] == [[0, 1, 2]]


async def test_indexes_and_dropped_collections_reach_other_processes(open_file: OpenFile) -> None:
    store, other = await open_file(), await open_file()
    await insert(store, {"_id": 1, "code": "a"})
    await other.create_index("beds", IndexSpec(keys=(("code", 1),), unique=True))
    with pytest.raises(DuplicateKeyError):
        await insert(store, {"_id": 2, "code": "a"})
    assert [index.name for index in await store.indexes("beds")] == ["code_1"]
    await store.drop_collection("beds")
    assert await contents(other) == []
    await insert(other, {"_id": 2, "code": "a"}, {"_id": 3, "code": "a"})


async def test_an_index_of_one_process_serves_the_queries_of_another(
    open_file: OpenFile, path: Path
) -> None:
    store, other = await open_file(), await open_file()
    await store.create_index("beds", IndexSpec(keys=(("ward", 1),)))
    await insert(other, *({"_id": id, "ward": id % 50} for id in range(200)))
    query = Query(collection="beds", selector={"ward": 7})
    for one in (store, other, await open_file()):
        explained = await one.explain(query)
        assert (explained.index, explained.candidates, explained.found) == ("ward_1", 4, 4)
    await update(other, {"ward": 7}, {"$set": {"ward": 8}})
    assert (await store.explain(query)).candidates == 3
    assert (await other.explain(query)).candidates == 3
    await store.drop_collection("beds")
    assert (await other.explain(query)).index is None


@pytest.mark.parametrize("seed", range(2))
async def test_with_and_without_indexes_all_processes_find_the_same(
    open_file: OpenFile, seed: int
) -> None:
    source = random.Random(seed)
    stores = [await open_file(), await open_file()]
    for path in ("n", "m"):
        await stores[0].create_index("beds", IndexSpec(keys=((path, 1),)))

    async def compare(store: SQLiteStore) -> int:
        everything: Document = {"n": source.choice([{"$gte": 1}, 1, None, {"$in": [0, 2]}])}
        used = await store.explain(Query(collection="beds", selector=everything))
        found = await contents(store, selector=everything, sort=())
        # $or is not answered by an index.
        plain = await contents(store, selector={"$or": [everything]}, sort=())
        assert found == plain
        return used.index is not None

    for _ in range(15):
        await asyncio.gather(
            *(write_at_random(store, random.Random(source.random()), 4) for store in stores * 2)
        )
        assert await asyncio.gather(*map(compare, stores)) == [True, True]


async def test_who_waits_for_another_process_still_reads(
    open_file: OpenFile, start_worker: StartWorker
) -> None:
    store = await open_file()
    await insert(store, {"_id": 1})
    worker = await start_worker("transact")
    await worker.hear("open")
    waiting = asyncio.ensure_future(insert(store, {"_id": 2}))
    for _ in range(10):
        assert await contents(store) == [{"_id": 1}]
    assert not waiting.done()
    worker.end_input()
    await waiting
    assert await contents(store) == [{"_id": 1}, {"_id": 2}]


async def test_closing_while_another_process_writes_refuses_what_waits(
    open_file: OpenFile, start_worker: StartWorker
) -> None:
    store = await open_file()
    worker = await start_worker("transact")
    await worker.hear("open")
    waiting = asyncio.ensure_future(insert(store, {"_id": 2}))
    assert await contents(store) == []
    await store.close()
    with pytest.raises(Exception, match="closed before this was written"):
        await waiting
    worker.end_input()
    await worker.process.wait()
    other = await open_file()
    await insert(other, {"_id": 3})
    assert await contents(other) == [{"_id": 3}]


async def test_a_process_that_fell_behind_reads_everything_again(open_file: OpenFile) -> None:
    behind = await open_file(look_every_s=3600, history=10)
    behind.listen(follower := Follower())
    # A store with no socket in the folder wakes nobody.
    writer = await open_file(history=10)
    async with writer.transaction() as transaction:
        for id in range(30):
            await transaction.write(Insert(collection="beds", documents=[{"_id": id}]))
    assert len(await contents(behind)) == 30
    end = await behind.read(Query(collection="beds"))
    await behind.feed_reached(end.position)
    assert follower.losses == 1
    assert follower.changes == []
    receipt = await insert(writer, {"_id": 30})
    assert receipt.position is not None
    await behind.read(Query(collection="beds"))
    await behind.feed_reached(receipt.position)
    assert [change.id for change in follower.changes] == [30]


async def test_a_process_without_a_socket_still_sees_the_others(path: Path) -> None:
    path.with_name(f"{path.name}-wake").write_text("not a folder")
    one, two = SQLiteStore(path, look_every_s=0.01), SQLiteStore(path, look_every_s=0.01)
    await one.open()
    await two.open()
    two.listen(follower := Follower())
    receipt = await insert(one, {"_id": 1})
    assert receipt.position is not None
    await two.feed_reached(receipt.position)
    assert [change.id for change in follower.changes] == [1]
    await one.close()
    await two.close()


async def test_a_transaction_that_takes_too_long_is_aborted(open_file: OpenFile) -> None:
    store = await open_file(transaction_lifetime_s=0.01)

    async def wait_for_oneself() -> None:
        async with store.transaction() as transaction:
            await transaction.write(Insert(collection="beds", documents=[{"_id": 1}]))
            await insert(store, {"_id": 2})

    with pytest.raises(OperationFailure, match=r"longer than 0.01 s"):
        await wait_for_oneself()
    assert await contents(store) == [{"_id": 2}]


@pytest.mark.parametrize("seed", range(3))
async def test_snapshots_and_changes_agree_on_both_sides_of_a_file(
    open_file: OpenFile, seed: int
) -> None:
    source = random.Random(seed)
    stores = [await open_file(), await open_file()]
    writers = [
        asyncio.ensure_future(write_at_random(store, random.Random(source.random()), 30))
        for store in stores * 2
    ]
    joined: list[tuple[Follower, Any]] = []
    while not all(writer.done() for writer in writers):
        store, follower = source.choice(stores), Follower()
        store.listen(follower)
        joined.append((follower, await store.read(Query(collection="beds"))))
    await asyncio.gather(*writers)
    ends = [await store.read(Query(collection="beds")) for store in stores]
    assert ends[0].position == ends[1].position
    assert list(ends[0].documents) == list(ends[1].documents)
    for store in stores:
        await store.feed_reached(ends[0].position)
    expected = {key_of(document["_id"]): document for document in ends[0].documents}
    assert len(joined) > 5
    for follower, snapshot in joined:
        assert replay(snapshot.documents, follower.changes, snapshot.position, "beds") == expected


async def test_the_latest_position_knows_what_other_processes_wrote(
    open_file: OpenFile, start_worker: StartWorker
) -> None:
    store = await open_file(look_every_s=3600)
    before: Any = await store.latest_position()  # positions of this store are numbers
    recorder = await start_worker("record", "3")
    for number in range(1, 4):
        await recorder.hear("done")
        latest: Any = await store.latest_position()
        assert latest >= before + number
