"""Reading at one moment: snapshots whose cluster time is known.

The time of a majority read is not the time of its data (docs/design/mongodb.md), so everything is
read with ``readConcern: snapshot``, and the reply says at which time. Needs MongoDB 5.0.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from bson.timestamp import Timestamp
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ConnectionFailure, NetworkTimeout, OperationFailure, PyMongoError

from bolide.core.values import Document
from bolide.server.stores.mongo.cluster_time import position_of, time_of
from bolide.server.stores.mongo.codec import run_command
from bolide.server.stores.mongo.reading.queries import BATCH
from bolide.server.stores.slowness import QueryTooSlow, is_too_slow

__all__ = [
    "READ_TIMEOUT_S",
    "SNAPSHOT_UNAVAILABLE",
    "CappedCollection",
    "Found",
    "SnapshotReader",
]

READ_TIMEOUT_S: Final = 30.0
"""Longest time a reading may take, all attempts included, seconds."""
_FIRST_ATTEMPT_S: Final = 5.0
"""How long the first attempt may take, seconds, each further one twice as long: a primary that is
frozen says nothing, and there is another one long before the time of all attempts is over."""
_SERVERS_PART: Final = 0.8
_FIRST_PAUSE_S: Final = 0.01
_LAST_PAUSE_S: Final = 1.0

# MongoDB's numbers for: cursor not found (it was on another primary), snapshot unavailable (the
# collection was just made), snapshot too old, time limit exceeded, query plan killed (the
# collection was dropped while it was read).
_SNAPSHOT_TOO_OLD: Final = 239
_TIME_LIMIT: Final = 50
SNAPSHOT_UNAVAILABLE: Final = 246
"""A collection is not what it was at the time that was asked for: made anew, indexed, capped."""
_QUERY_PLAN_KILLED: Final = 175
_AGAIN: Final = frozenset(
    {43, _SNAPSHOT_TOO_OLD, SNAPSHOT_UNAVAILABLE, _TIME_LIMIT, _QUERY_PLAN_KILLED}
)
_LABELS: Final = ("RetryableError", "RetryableReadError", "TransientTransactionError")


@dataclass(frozen=True, slots=True)
class Found:
    """The answer to a command.

    Attributes:
        position: When it was true.
        documents: All of them, in order.
        is_exact: It is not newer than the position.
    """

    position: int
    documents: list[Document]
    is_exact: bool = True


class CappedCollection(OperationFailure):
    """There are no snapshots of a capped collection."""

    def __init__(self) -> None:
        """Say so."""
        super().__init__("A capped collection has no snapshots.", SNAPSHOT_UNAVAILABLE)


class SnapshotReader:
    """Reads a database.

    Args:
        database: Of a client that is connected.
    """

    def __init__(self, database: AsyncDatabase[Document]) -> None:
        """Read nothing yet."""
        self.database = database

    async def read(
        self,
        command: Mapping[str, Any],
        *,
        after: int = 0,
        at: int | None = None,
        is_capped: bool = False,
    ) -> Found:
        """Run a command that returns a cursor, until it succeeds or time is over.

        Args:
            command: ``find`` or ``aggregate``.
            after: The position it must not be read before.
            at: The position it is read at.
            is_capped: The collection is capped, so there are no snapshots of it: what is found may
                be newer than the position.

        Raises:
            CappedCollection: If it is capped and nobody said so.
            PyMongoError: If it failed.
        """
        concern: dict[str, Any] = {"level": "snapshot"}
        if is_capped:
            concern = {"level": "majority", "afterClusterTime": time_of(after)}
        elif at is not None:
            concern["atClusterTime"] = time_of(at)
        else:
            concern["afterClusterTime"] = time_of(after)
        return await self._until_it_succeeds({**command, "readConcern": concern}, at is not None)

    async def values(
        self, command: Mapping[str, Any], *, after: int, is_capped: bool = False
    ) -> list[Any]:
        """Run a command that returns ``values``; as :meth:`read`."""
        level = "majority" if is_capped else "snapshot"
        concern = {"level": level, "afterClusterTime": time_of(after)}
        found = await self._until_it_succeeds({**command, "readConcern": concern}, False)
        return found.documents

    async def _until_it_succeeds(self, command: Mapping[str, Any], is_exact: bool) -> Found:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + READ_TIMEOUT_S
        attempt_s, pause = _FIRST_ATTEMPT_S, _FIRST_PAUSE_S
        while True:
            try:
                return await self._attempt(command, min(attempt_s, deadline - loop.time()))
            except PyMongoError as error:
                if _is_of_capped(error):
                    raise CappedCollection from error
                if is_too_slow(error, command):
                    raise QueryTooSlow from error
                code = getattr(error, "code", None)
                is_over = is_exact and code in (_SNAPSHOT_TOO_OLD, SNAPSHOT_UNAVAILABLE)
                if is_over or not _may_pass(error) or loop.time() + pause >= deadline:
                    raise
                if error.timeout:
                    attempt_s *= 2
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LAST_PAUSE_S)

    async def _attempt(self, command: Mapping[str, Any], timeout_s: float) -> Found:
        # Not pymongo.timeout(): the server refuses the time that it would give each getMore.
        # The server gives up first, and says so: a frozen one says nothing.
        limited = {**command, "maxTimeMS": max(1, round(timeout_s * _SERVERS_PART * 1000))}
        try:
            async with asyncio.timeout(timeout_s):
                return await self._read(limited)
        except TimeoutError as error:
            raise NetworkTimeout("The database did not answer in time.") from error

    async def _read(self, command: Mapping[str, Any]) -> Found:
        database, name = self.database, next(iter(command.values()))
        async with database.client.start_session(causal_consistency=False) as session:
            reply = await run_command(database, command, session)
            if "values" in reply:
                return Found(0, reply["values"])
            cursor = reply["cursor"]
            # A collection that does not exist is in no snapshot. And after $where the server does
            # not say which one it was.
            is_exact = "atClusterTime" in cursor
            concern = command["readConcern"]
            is_bounded = concern["level"] == "snapshot" and "afterClusterTime" in concern
            if is_bounded and not is_exact and not cursor["firstBatch"]:
                # It may have been dropped after the lower bound: it is empty now, not then.
                now = {"level": "snapshot", "atClusterTime": reply["operationTime"]}
                return await self._read({**command, "readConcern": now})
            time = cursor.get("atClusterTime", _lower_bound(command))
            position = position_of(time)
            documents: list[Document] = cursor["firstBatch"]
            while cursor["id"]:
                more = {"getMore": cursor["id"], "collection": name, "batchSize": BATCH}
                cursor = (await run_command(database, more, session))["cursor"]
                documents += cursor["nextBatch"]
        return Found(position, documents, is_exact)


def _lower_bound(command: Mapping[str, Any]) -> Timestamp:
    concern = command["readConcern"]
    time: Timestamp = concern.get("atClusterTime") or concern["afterClusterTime"]
    return time


def _is_of_capped(error: PyMongoError) -> bool:
    # A collection that was just made gives the same number for a moment.
    is_unavailable = isinstance(error, OperationFailure) and error.code == SNAPSHOT_UNAVAILABLE
    return is_unavailable and "capped" in str(error)


def _may_pass(error: PyMongoError) -> bool:
    if isinstance(error, ConnectionFailure):
        return True
    if isinstance(error, OperationFailure) and error.code in _AGAIN:
        return True
    return any(map(error.has_error_label, _LABELS))
