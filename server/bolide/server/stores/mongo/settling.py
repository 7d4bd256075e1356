"""After a write whose outcome is unknown: a position that is not before it, if it was done.

Theory of operation. A write of which nothing was heard may still lie in the buffer of a primary
that was frozen, and be done later. The server numbers the writes of a session that it would repeat,
and does none that comes after one with a higher number. So one more write of the same session is
made until it succeeds: what was before it is done by then, or never will be.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

import pymongo
import structlog
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import PyMongoError

from bolide.core.errors import StateError
from bolide.server.logging.log import describe_failure
from bolide.server.stores.base import Position
from bolide.server.stores.mongo.cluster_time import position_of
from bolide.server.stores.mongo.tasks import end
from bolide.server.stores.own_collections import FENCES

__all__ = ["Settling"]

_ATTEMPT_S: Final = 10.0
_FIRST_PAUSE_S: Final = 0.05
_LAST_PAUSE_S: Final = 2.0


class Settling:
    """Finds out how far the feed must be to show what may have been written.

    Args:
        database: Returns the database as it is reached now.
    """

    def __init__(self, database: Callable[[], AsyncDatabase[Any]]) -> None:
        """Begin with nothing to find out."""
        self._database = database
        self._tasks: set[asyncio.Task[None]] = set()
        self._log = structlog.get_logger("bolide.mongo")

    def settle(self, session: AsyncClientSession) -> asyncio.Future[Position]:
        """Return what ends with the position; the session belongs to this from now on."""
        found = asyncio.get_running_loop().create_future()
        task = asyncio.create_task(self._settle(session, found))
        self._tasks.add(task)

        def over(task: asyncio.Task[None]) -> None:
            # It may have been cancelled before it began.
            self._tasks.discard(task)
            if not found.done():
                found.set_exception(StateError("The store was closed."))
                found.exception()  # nobody may be waiting

        task.add_done_callback(over)
        return found

    async def close(self) -> None:
        """Find out nothing more."""
        await end(self._tasks)

    async def _settle(self, session: AsyncClientSession, found: asyncio.Future[Position]) -> None:
        pause = _FIRST_PAUSE_S
        try:
            while True:
                session = self._usable(session)
                try:
                    await self._write_once_more(session)
                    break
                except PyMongoError as error:
                    self._log.debug("a fence could not be written", **describe_failure(error))
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LAST_PAUSE_S)
            assert session.operation_time is not None
            found.set_result(position_of(session.operation_time))
        finally:
            await session.end_session()

    def _usable(self, session: AsyncClientSession) -> AsyncClientSession:
        """Return a session of the present client: it may have had to log in again."""
        client = self._database().client
        if session.client is client:
            return session
        return client.start_session(causal_consistency=False)

    async def _write_once_more(self, session: AsyncClientSession) -> None:
        database = self._database()
        with pymongo.timeout(_ATTEMPT_S):
            await database[FENCES].update_one(
                {"_id": "fence"}, {"$inc": {"n": 1}}, upsert=True, session=session
            )
