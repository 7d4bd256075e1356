"""The history of a MongoDB database, told by the driver's own change stream."""

import asyncio
from typing import Any

from bson.timestamp import Timestamp
from pymongo import AsyncMongoClient
from tests.property.live_core.model import History, View

from bolide.core.bson_codec import BSON_CODEC_OPTIONS
from bolide.core.keys import key_of
from bolide.server.stores.mongo.feed.delta import applied

__all__ = ["MongoHistory"]


class MongoHistory(History):
    """Every state of a database that was empty at the beginning.

    A position is a cluster time; each can be seen, and all of a transaction has the same.

    Args:
        url: Of the database.
    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self._client: AsyncMongoClient[dict[str, Any]] = AsyncMongoClient(url)
        self._database = self._client.get_default_database(codec_options=BSON_CODEC_OPTIONS)
        self._events: list[dict[str, Any]] = []
        self._following: asyncio.Task[None] | None = None
        self._end = f"end_{id(self)}"
        self._ended = asyncio.Event()

    def record(self, changes: Any) -> None:
        """Take no store's word for it."""

    async def start(self) -> None:
        stream = await self._database.watch()
        self._following = asyncio.create_task(self._follow(stream))

    async def catch_up(self) -> None:
        """Wait until everything that was written is known."""
        self._ended.clear()
        await self._database[self._end].insert_one({})
        await self._ended.wait()

    async def stop(self) -> None:
        assert self._following is not None
        self._following.cancel()
        await asyncio.gather(self._following, return_exceptions=True)
        await self._client.drop_database(self._database.name)
        await self._client.close()

    def complete(self) -> None:
        """Work out the states."""
        state: dict[str, View] = {}
        self._states = [(0, {})]
        self.changes.clear()
        for event in self._events:
            position = _position(event["clusterTime"])
            state = self._after(state, event)
            if self._states[-1][0] == position:
                self._states.pop()
            self._states.append((position, state))
            self.changes[position] = event  # type: ignore[assignment]  # they are only counted

    async def _follow(self, stream: Any) -> None:
        async with stream:
            async for event in stream:
                if event["ns"].get("coll") == self._end:
                    self._ended.set()
                else:
                    self._events.append(event)

    def _after(self, state: dict[str, View], event: dict[str, Any]) -> dict[str, View]:
        collection = event["ns"]["coll"]
        view = dict(state.get(collection, {}))
        key = key_of(event.get("documentKey", {}).get("_id"))
        match event["operationType"]:
            case "insert" | "replace":
                view[key] = event["fullDocument"]
            case "update":
                document = applied(view[key], event["updateDescription"])
                assert document is not None, event
                view[key] = document
            case "delete":
                del view[key]
            case "drop":
                view = {}
            case kind:
                raise AssertionError(kind)
        return {**state, collection: view}


def _position(time: Timestamp) -> int:
    return time.time << 32 | time.inc
