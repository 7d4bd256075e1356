"""Those who follow a MongoDB, each in a process of its own; ``bench/mongodb.py`` starts them.

``python -m bench.mongodb_followers KIND URL COUNT TOKEN NUMBER`` prints ``ready``, follows COUNT
events, and prints one JSON object: ``cpu_us`` for each, and how late they came, ``p50_ms`` and
``p99_ms``. The clock is the one that all processes of a machine share.
"""

import asyncio
import gc
import json
import os
import re
import sys
from collections.abc import Collection, Mapping, Sequence
from time import monotonic, process_time

# Events are of any kind.
from typing import Any, Final

import uvloop
from pymongo import AsyncMongoClient
from websockets.asyncio.client import connect as connect_websocket

from bench.live_queries import MATCHING, selectors
from bench.profile.profiled import CpuRecording
from bolide.server.limits import Limits
from bolide.server.livequery.live_queries import LiveQueries
from bolide.server.sessions.view.source import FollowedView
from bolide.server.sessions.view.view_change import ViewChange
from bolide.server.stores.base import ChangeBatch, Position, Query
from bolide.server.stores.mongo import MongoStore
from bolide.server.stores.mongo.cluster_time import token_position
from bolide.server.stores.mongo.feed.change_stream import ChangeStream
from bolide.server.stores.mongo.reading.queries import BATCH
from bolide.server.stores.mongo.reading.snapshots import Found, SnapshotReader
from bolide.server.turn import Turn

__all__ = ["BATCH", "COLLECTION", "LAST", "PIPELINE", "PROFILED"]

COLLECTION: Final = "beds"
PROFILED: Final = "BOLIDE_BENCH_PROFILE"
"""Variable that lets a follower record where its time goes."""
LAST: Final = "last"
"""``_id`` of the document that is inserted last."""
_FIELDS: Final = (
    "operationType", "clusterTime", "ns", "to", "documentKey", "fullDocument",
    "updateDescription", "txnNumber",
)  # fmt: skip
PIPELINE: Final[list[dict[str, Any]]] = [
    {"$match": {"$or": [{"ns.coll": COLLECTION}, {"to.coll": COLLECTION}]}},
    {"$project": dict.fromkeys(_FIELDS, 1)},
]
"""What a node asks for, too."""
# As clients come: not one after the other.
_AT_ONCE: Final = 32
_AT: Final = re.compile(r'"at":([0-9.]+)')
# Nothing is put off to a later turn, nor ended, because the machine is busy.
_UNHURRIED: Final = Limits(live_query_turn_ms=60_000, live_query_excess_ms=60_000)


class Measurement:
    """CPU time of some events, and how late each was.

    Args:
        count: How many events there are.

    Attributes:
        over: All came.
    """

    def __init__(self, count: int) -> None:
        """Wait for :meth:`begin`."""
        self.over = asyncio.Event()
        self._count = count
        self._delays: list[float] = []
        self._began_at = 0.0
        self._took = 0.0
        self._recording = CpuRecording() if os.environ.get(PROFILED) else None
        self._profile: list[tuple[str, float]] = []

    def begin(self, missed: int = 0) -> None:
        """Count from here on.

        Args:
            missed: Events that came before.
        """
        self._count -= missed
        self._delays.clear()
        if self._recording is not None:
            self._recording.begin()
        self._began_at = process_time()
        print("ready", flush=True)

    def take(self, sent: Sequence[float]) -> None:
        """Take the times at which the documents of some events were sent."""
        now = monotonic()
        self._delays += [now - at for at in sent]

    def end(self) -> None:
        """Take note of the last event."""
        self._took = process_time() - self._began_at
        if self._recording is not None:
            found = self._recording.end()
            self._profile = [(name, count / found["samples"]) for name, count in found["own"]]
        self.over.set()

    def print(self) -> None:
        """Print what was found."""
        delays = sorted(self._delays)
        found = {
            "cpu_us": 1e6 * self._took / self._count,
            "p50_ms": 1e3 * delays[len(delays) // 2],
            "p99_ms": 1e3 * delays[len(delays) * 99 // 100],
            "profile": self._profile,
        }
        print(json.dumps(found), flush=True)


async def watch(url: str, measurement: Measurement, token: Any, batch: int) -> None:
    """Follow with the driver's own loop.

    Args:
        url: Of the database.
        measurement: Takes the events.
        token: Where to begin; None is now.
        batch: Most events in one answer; 0 leaves it to the server.
    """
    client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url)
    options: dict[str, Any] = {"batch_size": batch} if batch else {}
    database = client.get_default_database()
    async with await database.watch(PIPELINE, start_after=token, **options) as stream:
        measurement.begin()
        async for event in stream:
            document = event.get("fullDocument")
            if document is None:
                document = event["updateDescription"]["updatedFields"]
            measurement.take((document["at"],))
            if event["documentKey"]["_id"] == LAST:
                measurement.end()
                break
    await client.close()


class _Listener:
    """Takes what was routed already."""

    def __init__(self, measurement: Measurement) -> None:
        self._measurement = measurement

    def changes_received(self, batch: ChangeBatch) -> None:
        changes = batch.changes
        self._measurement.take([c.after["at"] for c in changes if c.after is not None])
        if changes and changes[-1].id == LAST:
            self._measurement.end()

    def wants_update(self, collection: str, id: Any, paths: Collection[str]) -> bool:
        return False

    def history_lost(self, position: Position) -> None:
        raise AssertionError("history lost")


class _Follower:
    """A follower that is told and does nothing."""

    def view_changed(self, changes: Sequence[ViewChange]) -> None:
        pass

    def view_joined(self, view: FollowedView) -> None:
        pass

    def view_failed(self, error: Exception) -> None:
        raise error


async def route(url: str, measurement: Measurement, token: Any, queries: int) -> None:
    """Follow as a node does, from the stream to the live queries that a change may affect.

    Args:
        url: Of the database.
        measurement: Takes the events.
        token: Where to begin; None is now.
        queries: How many live queries there are; 0 of them match, or with a minus 4.
    """
    store = MongoStore(url)
    store.declare([COLLECTION])
    gate = asyncio.Event()
    _wait_for(gate)
    if token is not None:
        _begin_at(token)
    await store.open()
    live = LiveQueries(store, Turn(), limits=_UNHURRIED)
    store.listen(_Listener(measurement))
    asked = selectors(-queries) if queries < 0 else selectors(queries + MATCHING)[MATCHING:]
    waiting = iter(asked)

    async def follow_some() -> None:
        for selector in waiting:
            await live.follow(Query(collection=COLLECTION, selector=selector), _Follower())

    await asyncio.gather(*(follow_some() for _ in range(_AT_ONCE)))
    gc.collect()
    # The first answer came when the store was opened.
    measurement.begin(0 if token is None else BATCH)
    gate.set()
    await measurement.over.wait()
    live.close()
    await store.close()


def _wait_for(gate: asyncio.Event) -> None:
    """Let the stream be read only when all queries are there; its first answer comes before."""
    read_on = ChangeStream._read_on  # pyright: ignore[reportPrivateUsage]

    async def wait_and_read(stream: ChangeStream, cursor: Mapping[str, Any]) -> None:
        await gate.wait()
        await read_on(stream, cursor)

    ChangeStream._read_on = wait_and_read  # type: ignore[method-assign,assignment]


def _begin_at(token: Any) -> None:
    """Let the stream begin in the past, and live queries be read as they were then."""
    open_stream, read = ChangeStream.open, SnapshotReader.read

    async def open_at(stream: ChangeStream) -> None:
        stream._token = token  # pyright: ignore[reportPrivateUsage]
        await open_stream(stream)

    async def read_at(reader: SnapshotReader, command: Any, **_: Any) -> Found:
        return await read(reader, command, at=token_position(token))

    ChangeStream.open = open_at  # type: ignore[method-assign,assignment]
    SnapshotReader.read = read_at  # type: ignore[method-assign,assignment]


async def show(url: str, measurement: Measurement) -> None:
    """Follow as a client of a node does."""
    async with connect_websocket(url, max_size=None) as socket:
        await socket.send('{"msg":"connect","version":"1","support":["1"]}')
        await socket.send('{"msg":"sub","id":"1","name":"ward","params":["w0"]}')
        async for frame in socket:
            assert isinstance(frame, str)
            if frame.startswith('{"msg":"ready"'):
                measurement.begin()
            elif frame.startswith('{"msg":"ping"'):
                await socket.send('{"msg":"pong"}')
            else:
                measurement.take([float(at) for at in _AT.findall(frame)])
            if f'"id":"{LAST}"' in frame:
                measurement.end()
                break


def main() -> None:
    """Follow."""
    kind, url, count, token, queries = sys.argv[1:]
    measurement = Measurement(int(count))
    begin = json.loads(token)
    match kind:
        case "watch":
            following = watch(url, measurement, begin, int(queries))
        case "route":
            following = route(url, measurement, begin, int(queries))
        case _:
            following = show(url, measurement)
    uvloop.run(following)
    measurement.print()


if __name__ == "__main__":
    main()
