"""History that is lost: everything is read again once, and only what differs is sent."""

import asyncio
from collections.abc import Callable

# Commands and their answers.
from typing import Any

import pytest
from bson.errors import InvalidBSON
from tests.driver_sockets import MAY_BE_LEFT
from tests.faults.ward import Ward, ward
from tests.replica_set import ReplicaSet

from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.server.stores.base import Insert
from bolide.server.stores.mongo.codec import run_stream_command
from bolide.server.stores.mongo.feed import change_stream
from bolide.server.stores.mongo.feed.interruptions import Loss

CODES = {
    286: Loss.OPLOG_TOO_SHORT,
    280: Loss.NOT_RESUMABLE,
    136: Loss.OVERTAKEN,
    47: Loss.IMAGE_MISSING,
    260: Loss.TOKEN_REFUSED,
    10334: Loss.EVENT_TOO_LARGE,
    239: Loss.SNAPSHOT_TOO_OLD,
}

pytestmark = MAY_BE_LEFT


def rereads(it: Ward) -> float | None:
    registry = it.node.node.metrics.registry
    return registry.get_sample_value("bolide_live_query_rereads_total", {"reason": "history lost"})


def data_messages(it: Ward) -> list[int]:
    """Return how many messages with data each client has got."""
    kinds = (Added, Changed, Removed)
    return [sum(isinstance(one, kinds) for one in client.messages) for client in it.clients]


async def test_an_oplog_that_is_too_short_costs_one_reading_and_the_difference() -> None:
    with ReplicaSet(1, "--syncdelay", "1", oplog_mb=1) as members, members.client() as client:
        async with ward(members.url("ward")) as it:
            beds = client["ward"]["beds"]
            old = [{"_id": number} for number in range(50)]
            await it.node.store.write(Insert(collection="beds", documents=old))
            await it.shows(*old)
            before = data_messages(it)

            def write_beyond_the_oplog() -> None:
                oplog = client["local"]["oplog.rs"]
                start = client["ward"].command("ping")["operationTime"]
                beds.update_one({"_id": 1}, {"$set": {"n": 1}})
                beds.update_one({"_id": 2}, {"$set": {"n": 1}})
                beds.delete_one({"_id": 3})
                beds.insert_one({"_id": 50})
                while True:
                    client["ward"]["noise"].insert_one({"text": "x" * 2_000_000})
                    oldest = oplog.find_one(sort=[("$natural", 1)])
                    assert oldest is not None
                    if oldest["ts"] > start:
                        return

            with members.failing("getMore", "aggregate", closeConnection=True):
                await it.waits("the connection to the database was lost")
                await asyncio.to_thread(write_beyond_the_oplog)
            await it.shows(
                {"_id": 0}, {"_id": 1, "n": 1}, {"_id": 2, "n": 1}, *old[4:], {"_id": 50}
            )
            assert it.losses == 1
            assert it.health.losses[Loss.OPLOG_TOO_SHORT] == 1
            assert rereads(it) == 1
            assert data_messages(it) == [count + 4 for count in before]


async def test_each_way_to_lose_history_is_counted_by_its_name(
    replica_set: ReplicaSet, new_database: Callable[[], str]
) -> None:
    async with ward(new_database()) as it:
        expected: list[dict[str, Any]] = []
        for number, (code, loss) in enumerate(CODES.items(), start=1):
            await asyncio.to_thread(replica_set.fail, 1, "getMore", errorCode=code)
            await it.waits("changes were missed")
            expected.append({"_id": number})
            await it.node.store.write(Insert(collection="beds", documents=expected[-1:]))
            await it.shows(*expected)
            await it.waits("")
            await it.node.settle()
            assert it.health.losses[loss] == 1
            assert it.losses == rereads(it) == number
        assert data_messages(it) == [len(CODES)] * len(it.clients)


async def test_history_is_lost_under_load(
    replica_set: ReplicaSet, new_database: Callable[[], str]
) -> None:
    async with ward(new_database()) as it:
        async with it.writing():
            await it.more_is_acknowledged()
            await asyncio.to_thread(lambda: replica_set.fail(1, "getMore", errorCode=286))
            await it.more_is_acknowledged()
        await it.agree()
        assert it.losses == 1


async def test_an_answer_that_cannot_be_decoded_is_stepped_over(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    failures = [InvalidBSON("once")]

    async def run(database: Any, command: Any, session: Any) -> Any:
        if "getMore" in command and failures:
            raise failures.pop()
        return await run_stream_command(database, command, session)

    async with ward(new_database()) as it:
        async with it.writing():
            await it.more_is_acknowledged()
            monkeypatch.setattr(change_stream, "run_stream_command", run)
            await it.more_is_acknowledged()
        await it.agree()
        assert it.health.losses[Loss.UNDECODABLE] == 1
        assert not failures


async def test_an_error_that_comes_again_and_again_is_a_loss_at_last(
    replica_set: ReplicaSet, new_database: Callable[[], str]
) -> None:
    async with ward(new_database()) as it:
        await asyncio.to_thread(replica_set.fail, 5, "getMore", errorCode=1)
        await it.waits("changes were missed")
        await it.waits("")
        assert it.health.losses[Loss.REPEATED_ERROR] == 1


async def test_a_stream_too_far_behind_is_given_up(
    replica_set: ReplicaSet, new_database: Callable[[], str]
) -> None:
    async with ward(new_database(), max_feed_lag_s=1) as it:
        many = [{"_id": f"many-{number}"} for number in range(1_200)]
        blocked = {"blockConnection": True, "blockTimeMS": 3_500}
        async with it.writing():
            await it.more_is_acknowledged()
            await asyncio.to_thread(lambda: replica_set.fail(1, "getMore", **blocked))
            await it.node.store.write(Insert(collection="beds", documents=many))
            await it.waits("changes were missed")
        await it.agree()
        assert it.health.losses[Loss.TOO_FAR_BEHIND] >= 1


async def test_an_event_larger_than_a_document_may_be_is_stepped_over() -> None:
    with ReplicaSet(1) as members, members.client() as client:
        async with ward(members.url("ward")) as it:
            # Its id is in the event three times: as itself, and in hexadecimal in the token.
            large = "x" * 6_000_000
            await asyncio.to_thread(client["ward"]["beds"].insert_one, {"_id": large})
            await it.shows({"_id": large})
            assert it.health.losses[Loss.EVENT_TOO_LARGE] == 1
