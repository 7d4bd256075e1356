"""Reading live queries again: few at a time, and again when the store cannot be reached."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog
from pymongo.errors import ConnectionFailure, OperationFailure, PyMongoError

from bolide.server.clock import Clock, SystemClock
from bolide.server.limits import Limits
from bolide.server.logging.log import describe_failure
from bolide.server.stores.base import Snapshot

__all__ = ["FIRST_RETRY_S", "LAST_RETRY_S", "MAX_FIRST_READINGS_OF_NODE", "Readings"]

MAX_FIRST_READINGS_OF_NODE: Final = 64
"""Most live queries that are read for the first time at once: a driver has 100 connections, and
writes must not wait for one behind thousands of clients that come back together."""

FIRST_RETRY_S: Final = 0.1
LAST_RETRY_S: Final = 10.0
"""Pause after a reading that failed, seconds: the first, doubled each time up to the last."""

# MongoDB's numbers for: host unreachable or not found, unknown error (SQLite's file too), user
# refused (an operator will mend it), lock timeout, cursor not found, time limit, network timeout,
# shutdown in progress, write conflict, read concern not yet available, capped position lost, query
# plan killed, primary stepped down, cursor killed, snapshot too old or unavailable, time limits,
# log in again, socket error, not primary, interrupted by shutdown, by somebody (killOp), by a
# change of state, not primary, recovering, disk full.
_PASSING_CODES: Final = frozenset(
    {
        6, 7, 8, 13, 18, 24, 43, 50, 89, 91, 112, 134, 136, 175, 189, 237, 239, 246, 262, 290, 391,
        9001, 10107, 11600, 11601, 11602, 13435, 13436, 14031,
    }
)  # fmt: skip
_PASSING_LABELS: Final = ("RetryableReadError", "TransientTransactionError")


class Readings:
    """Reads for all live queries of a node.

    A recovery after lost history reads every query; a limit keeps it from asking the store for all
    at once. An error that may pass is no reason to end a view: it only gets late.

    Args:
        limits: ``max_live_query_rereads`` is how many readings run at the same time; polls, which
            may be slow and come again and again, take half of them at most.
        clock: Measures the pauses.
    """

    def __init__(self, limits: Limits | None = None, clock: Clock | None = None) -> None:
        """Begin with nothing to read."""
        self._clock = clock or SystemClock()
        most = (limits or Limits()).max_live_query_rereads
        self._free = asyncio.Semaphore(most)
        self._free_for_polls = asyncio.Semaphore(max(1, most // 2))
        self._free_for_first = asyncio.Semaphore(MAX_FIRST_READINGS_OF_NODE)
        self._log = structlog.get_logger("bolide.livequery")

    async def first(self, read: Callable[[], Awaitable[Snapshot]]) -> Snapshot:
        """Read a query for the first time, when it is its turn.

        Raises:
            Exception: What the store raised.
        """
        async with self._free_for_first:
            return await read()

    async def poll(self, collection: str, read: Callable[[], Awaitable[Snapshot]]) -> Snapshot:
        """Read a polled query again; as :meth:`read`."""

        async def read_it() -> Snapshot:
            async with self._free_for_polls, self._free:
                return await read()

        return await self._until_it_succeeds(collection, read_it)

    async def read(self, collection: str, read: Callable[[], Awaitable[Snapshot]]) -> Snapshot:
        """Read a query again, as often as it takes.

        Args:
            collection: What is read, for the log.
            read: Reads it once; asks what it needs to know when it begins.

        Raises:
            Exception: What the store raised, if trying again would not help.
        """

        async def read_it() -> Snapshot:
            async with self._free:
                return await read()

        return await self._until_it_succeeds(collection, read_it)

    async def _until_it_succeeds(
        self, collection: str, read: Callable[[], Awaitable[Snapshot]]
    ) -> Snapshot:
        pause = FIRST_RETRY_S
        while True:
            try:
                return await read()
            except Exception as error:
                if not _may_pass(error):
                    raise
                self._log.warning(
                    "a live query could not be read and tries again",
                    collection=collection,
                    pause_s=pause,
                    **describe_failure(error),
                )
            await self._sleep(pause)
            pause = min(2 * pause, LAST_RETRY_S)

    async def _sleep(self, seconds: float) -> None:
        over = asyncio.Event()
        timer = self._clock.call_at(self._clock.now() + seconds, over.set)
        try:
            await over.wait()
        finally:
            timer.cancel()


def _may_pass(error: Exception) -> bool:
    """Tell whether the same reading may succeed later."""
    if isinstance(error, ConnectionFailure | OSError):
        return True
    if isinstance(error, OperationFailure) and error.code in _PASSING_CODES:
        return True
    return isinstance(error, PyMongoError) and any(map(error.has_error_label, _PASSING_LABELS))
