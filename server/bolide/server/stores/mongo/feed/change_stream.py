"""The process's one change stream: read with plain commands, opened again whatever ends it.

With ``getMore`` as a command of its own the position is always known, and the next one goes to
whoever is primary then; a driver's ``watch()`` waits for the old one (docs/design/mongodb.md).

Theory of operation. A stream that is opened with the last token goes on where it was: a failover
loses nothing. If the server does not have that history any more, a new stream is opened *first*,
and then everybody is told to read again, at or after its first position.
"""

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from typing import Any, Final

import structlog
from bson.timestamp import Timestamp
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import OperationFailure, PyMongoError

from bolide.core.keys import key_of
from bolide.core.values import Document
from bolide.server.logging.log import describe_failure
from bolide.server.stores.base import ChangeBatch
from bolide.server.stores.feed import Feed
from bolide.server.stores.feed_health import FeedHealth
from bolide.server.stores.mongo.cluster_time import (
    first_position,
    seconds_between,
    token_position,
)
from bolide.server.stores.mongo.codec import run_stream_command
from bolide.server.stores.mongo.feed.assembly import Assembled, Assembly
from bolide.server.stores.mongo.feed.cache import DocumentCache, DocumentKey
from bolide.server.stores.mongo.feed.interruptions import (
    FeedTooFarBehind,
    Gap,
    Interruption,
    Loss,
    interruption_of,
    loss_of,
    words,
)
from bolide.server.stores.mongo.reading.queries import BATCH, COLLATION
from bolide.server.stores.mongo.reading.snapshots import (
    SNAPSHOT_UNAVAILABLE,
    Found,
    SnapshotReader,
)
from bolide.server.stores.mongo.tasks import end
from bolide.server.stores.own_collections import FENCES

__all__ = ["QUIET_S", "ChangeStream"]

_WAIT_MS: Final = 1000
QUIET_S: Final = 2.0
"""Time in which a server that has nothing to tell answers, seconds."""
_SILENCE_S: Final = 3.0
"""How much longer than asked the server may be silent before the stream is opened again."""
_LATE_S: Final = 1.0
"""How much later than that it may be."""
_FENCE_AFTER_S: Final = 0.005
_FIRST_PAUSE_S: Final = 0.05
_LAST_PAUSE_S: Final = 2.0
_CALM_PAUSE_S: Final = 0.01
"""Pause after a batch while many events come: a batch costs more than an event."""
_MANY_EVENTS: Final = 5  # in such a pause: 500 a second
_MOST_ERRORS: Final = 5
"""How often an error may come again, without an answer between, before the token is given up."""

_PROJECTION: Final = dict.fromkeys(
    (
        "operationType", "clusterTime", "ns", "to", "documentKey", "fullDocument",
        "updateDescription", "txnNumber",
    ),
    1,
)  # fmt: skip


class ChangeStream:
    """Follows the changes of a database and tells a feed of them.

    Args:
        database: Of a client that is connected.
        reader: Reads documents that are missing.
        cache: Documents as they are.
        declared: Names of the collections that are told of; None for all.
        health: Learns how it fares.
        max_lag_s: How far it may be behind, seconds; further, everything is read again.
        log_in_again: Is called when the database refuses the user; may change ``database``.

    Attributes:
        database: As it is reached now.
        started: Events at or before it were not seen.
    """

    def __init__(
        self,
        database: AsyncDatabase[Document],
        reader: SnapshotReader,
        cache: DocumentCache,
        declared: frozenset[str] | None,
        health: FeedHealth,
        max_lag_s: float,
        log_in_again: Callable[[], Awaitable[None]],
    ) -> None:
        """Wait for :meth:`open`."""
        self.started = 0
        self._health = health
        self._max_lag_s = max_lag_s
        self._log_in_again = log_in_again
        self._is_refused = False
        self._errors = 0  # one after the other, that are not known to pass
        self.database = database
        self._reader = reader
        self._cache = cache
        self._declared = declared
        self._assembly = Assembly(cache, declared, self._wants)
        self._session: AsyncClientSession | None = None
        self._token: Mapping[str, Any] | None = None
        self._began = 0  # what the token of a stream said that began without one
        self._lost_because: Loss | None = None
        self._feed: Feed | None = None
        self._hurry = asyncio.Event()
        self._following: asyncio.Task[None] | None = None
        self._fencing: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("bolide.mongo")

    @property
    def feed(self) -> Feed:
        """Who is told."""
        assert self._feed is not None
        return self._feed

    async def open(self) -> None:
        """Open the stream; it is followed until :meth:`close`.

        Raises:
            PyMongoError: If it cannot be opened.
        """
        cursor = await self._open_cursor()
        self._following = asyncio.create_task(self._follow(cursor))

    async def close(self) -> None:
        """Follow it no more, and let nobody wait."""
        await end(task for task in (self._following, self._fencing) if task is not None)
        await self._end_session()
        if self._feed is not None:
            self._feed.close()

    async def reached(self, position: int) -> None:
        """Wait until everything up to a position was told; hurry if that takes long."""
        feed = self.feed
        if feed.has_reached(position):
            return
        self._hurry.set()
        if self._fencing is None or self._fencing.done():
            self._fencing = asyncio.create_task(self._fence(position))
        await feed.reached(position)

    @property
    def told(self) -> int:
        """What is read must not be older than this: changes up to it may not come any more."""
        return max(self.started, self._assembly.last_event)

    # Inside

    def _wants(self, collection: str, id: Any, paths: Collection[str]) -> bool:
        return self._feed is not None and self._feed.wants_update(collection, id, paths)

    async def _fence(self, position: int) -> None:
        """Write something that the stream tells of, so that its position moves on."""
        pause = _FENCE_AFTER_S
        while True:
            await asyncio.sleep(pause)
            if self.feed.has_reached(position) and not self.feed.is_awaited:
                return
            try:
                await self.database[FENCES].update_one(
                    {"_id": "fence"}, {"$inc": {"n": 1}}, upsert=True
                )
            except PyMongoError as error:
                self._log.debug("a fence could not be written", **describe_failure(error))
            pause = min(max(2 * pause, 0.05), 1.0)

    async def _follow(self, cursor: Mapping[str, Any] | None) -> None:
        loop, pause = asyncio.get_running_loop(), _FIRST_PAUSE_S
        while True:
            began = loop.time()
            try:
                if cursor is None:
                    cursor = await self._open_cursor()
                self._goes_on()
                await self._read_on(cursor)
                self._log.warning("the database was dropped")
                self._health.reopenings[Interruption.DATABASE_DROPPED] += 1
            except Exception as error:
                self._interrupted(error)
            cursor = None
            if loop.time() - began > _LAST_PAUSE_S:
                pause = _FIRST_PAUSE_S
            await asyncio.sleep(pause * random.uniform(0.5, 1.5))
            if self._is_refused:
                await self._log_in_again()
            pause = min(2 * pause, _LAST_PAUSE_S)

    def _goes_on(self) -> None:
        self._is_refused = False
        waited_s = self._health.go_on()
        if waited_s:
            self._log.info("the change stream goes on", waited_s=round(waited_s, 3))

    def _interrupted(self, error: Exception) -> None:
        loss, interruption = loss_of(error), interruption_of(error)
        self._errors = self._errors + 1 if interruption is Interruption.SERVER_ERROR else 0
        if self._errors >= _MOST_ERRORS:
            loss, interruption = Loss.REPEATED_ERROR, Interruption.HISTORY_LOST
        self._is_refused = interruption is Interruption.USER_REFUSED
        self._health.reopenings[interruption] += 1
        self._health.wait(words(interruption))
        self._log.warning(
            "the change stream is opened again",
            because=interruption.value,
            **_described(error, interruption),
        )
        if loss is not None:
            self._errors = 0
            self._token = None
            self._lost_because = loss

    async def _open_cursor(self) -> Mapping[str, Any]:
        """Open a stream at the last token, or now; returns the cursor."""
        self._assembly.restart()
        await self._end_session()
        # The server ties the cursor to it.
        self._session = self.database.client.start_session(causal_consistency=False)
        is_new = self._token is None
        if self._lost_because is not None:
            # What is known is from before the gap.
            self._cache.clear()
        stage: dict[str, Any] = {}
        if self._token is not None:
            stage["startAfter"] = self._token  # takes the token of an invalidate, too
        command = {
            "aggregate": 1,
            "pipeline": [{"$changeStream": stage}, {"$match": self._match()},
                         {"$project": _PROJECTION}],
            "cursor": {"batchSize": BATCH},
        }  # fmt: skip
        async with asyncio.timeout(_SILENCE_S + 10):
            cursor: Mapping[str, Any] = (await self._run(command))["cursor"]
        token = cursor["postBatchResumeToken"]
        if is_new:
            self._began = token_position(token)
        position = self._position(token)
        assembled = self._assembly.take(cursor["firstBatch"], position)
        if is_new:
            self.started = assembled.position
        if self._feed is None:
            self._feed = Feed(assembled.position)
        if self._lost_because is not None:
            # Only now: what is read from here on joins the new stream.
            loss, self._lost_because = self._lost_because, None
            self._health.losses[loss] += 1
            self._log.warning("history lost: the change stream begins anew", because=loss.value)
            self._feed.lose_history(assembled.position)
        await self._tell(assembled, token)
        return cursor

    async def _end_session(self) -> None:
        if self._session is not None:
            session, self._session = self._session, None
            with suppress(PyMongoError):
                async with asyncio.timeout(_SILENCE_S):
                    await session.end_session()

    def _match(self) -> Mapping[str, Any]:
        if self._declared is None:
            return {}
        ours = {"$in": [*sorted(self._declared), FENCES]}
        # ``to``: a rename onto ours, which is how $out replaces a collection.
        return {"$or": [{"ns.coll": ours}, {"to.coll": ours}, {"operationType": "dropDatabase"}]}

    async def _read_on(self, cursor: Mapping[str, Any]) -> None:
        async with asyncio.timeout(None) as limit:
            while cursor["id"]:  # 0 after the database was dropped
                wait_ms = 1 if self._assembly.is_in_transaction else _WAIT_MS
                more = {
                    "getMore": cursor["id"],
                    "collection": "$cmd.aggregate",
                    "batchSize": BATCH,
                    "maxTimeMS": wait_ms,
                }
                _put_off(limit, wait_ms / 1000 + _SILENCE_S)
                reply = await self._run(more)
                cursor = reply["cursor"]
                self._errors = 0
                events, token = cursor["nextBatch"], cursor["postBatchResumeToken"]
                position = self._position(token)
                self._measure(position, reply["operationTime"])
                assembled = self._assembly.take(events, position)
                if assembled.missing:
                    limit.reschedule(None)  # it is not the stream that is waited for
                await self._tell(assembled, token)
                if len(events) >= _MANY_EVENTS:
                    await self._rest()

    def _position(self, token: Mapping[str, Any]) -> int:
        """Return up to where everything was told.

        A stream that begins now begins one tick after the newest write, and its token says so until
        something happens. The next write may have just that time.
        """
        position = token_position(token)
        return first_position(token) if position == self._began else position

    def _measure(self, position: int, now: Timestamp) -> None:
        """Note how far an answer is behind what the database held when it gave it.

        Raises:
            FeedTooFarBehind: If that is too far.
        """
        lag_s = seconds_between(position, now)
        self._health.heard(lag_s)
        if lag_s > self._max_lag_s:
            raise FeedTooFarBehind

    async def _run(self, command: Mapping[str, Any]) -> Mapping[str, Any]:
        session = self._session
        assert session is not None
        return await run_stream_command(self.database, command, session)

    async def _tell(self, assembled: Assembled, token: Mapping[str, Any]) -> None:
        for collection, how in assembled.lost:
            self._health.collections_lost[how] += 1
            self._log.warning(f"a collection was {how}", collection=collection)
        found: Mapping[DocumentKey, Document] = {}
        if assembled.missing:
            found = await self._fetch(assembled)
        changes = self._assembly.finish(assembled, found)
        feed = self.feed
        if changes or feed.position < assembled.position:
            feed.deliver(ChangeBatch(assembled.position, changes))
        if not self._assembly.is_in_transaction:
            self._token = token

    async def _fetch(self, assembled: Assembled) -> Mapping[DocumentKey, Document]:
        """Read the documents that are missing, as they are at the end of the changes."""
        by_collection: dict[str, list[Any]] = {}
        for (collection, _), id in assembled.ids.items():
            by_collection.setdefault(collection, []).append(id)
        found: dict[DocumentKey, Document] = {}
        for collection, ids in by_collection.items():
            command = {
                "find": collection,
                "filter": {"_id": {"$in": ids}},
                "batchSize": BATCH,
                "collation": COLLATION,
            }
            read = await self._read_at(command, assembled.position)
            if read is None or not read.is_exact:
                # It is not there any more: what it held at that position cannot be told.
                self._assembly.lose(assembled, collection)
            for document in read.documents if read is not None else ():
                found[collection, key_of(document["_id"])] = document
        return found

    async def _read_at(self, command: Mapping[str, Any], position: int) -> Found | None:
        """Read at a position, as often as it takes: what was taken from the stream is not lost.

        Returns:
            What was found; None if the collection is another one since then.
        """
        while True:
            try:
                found = await self._reader.read(command, at=position)
                self._health.go_on()
                return found
            except PyMongoError as error:
                if isinstance(error, OperationFailure) and error.code == SNAPSHOT_UNAVAILABLE:
                    return None
                interruption = interruption_of(error)
                if interruption in (Interruption.HISTORY_LOST, Interruption.SERVER_ERROR):
                    raise Gap from error
                self._health.wait(words(interruption))
                self._log.warning(
                    "documents that changed are read again",
                    because=interruption.value,
                    **_described(error, interruption),
                )
            await asyncio.sleep(_FIRST_PAUSE_S)

    async def _rest(self) -> None:
        """Let events gather for a moment, unless somebody waits for them."""
        self._hurry.clear()
        if self.feed.is_awaited:
            return
        try:
            async with asyncio.timeout(_CALM_PAUSE_S):
                await self._hurry.wait()
        except TimeoutError:
            pass


def _put_off(limit: asyncio.Timeout, seconds: float) -> None:
    """Let a limit end in so many seconds, or a little later.

    A timer for each answer costs more than the rest of what is done for an answer without events;
    a timer that may go off a little late is set anew once in a while only.

    Raises:
        TimeoutError: If it ended, and nobody noticed.
    """
    if limit.expired():
        raise TimeoutError
    ends = asyncio.get_running_loop().time() + seconds
    if (limit.when() or 0.0) < ends:
        limit.reschedule(ends + _LATE_S)


def _described(error: Exception, interruption: Interruption) -> Mapping[str, Any]:
    """Return what the log says of an error: the way to it only if it is none of the network."""
    if interruption in (Interruption.HISTORY_LOST, Interruption.SERVER_ERROR):
        return describe_failure(error)
    return {"error": type(error).__name__, "code": getattr(error, "code", None)}
