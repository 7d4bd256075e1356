"""Announce a node in the store, again and again while it serves."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Final

import structlog
from pymongo.errors import PyMongoError

from bolide.core.errors import BolideError
from bolide.server.clock import Clock, sleep
from bolide.server.registry.announcement import Announcement, signed_document
from bolide.server.registry.signer import Signer
from bolide.server.stores.base import Delete, Store, Update
from bolide.server.stores.own_collections import NODES

__all__ = ["ANNOUNCE_EVERY_S", "LASTS_S", "Announcer"]

ANNOUNCE_EVERY_S: Final = 2.0
"""Time between two announcements, seconds: a new node gets traffic within five."""
LASTS_S: Final = 15.0
"""How long an announcement holds for a balancer that sees the node for the first time, seconds."""

_FORGOTTEN_AFTER_MS: Final = 86_400_000
_GOODBYE_TIMEOUT_S: Final = 2.0

_log = structlog.get_logger("bolide.node")


class Announcer:
    """One node's announcements.

    Args:
        store: Open.
        clock: The time.
        signer: Who signs them.
        address: Where clients' connections go, ``host:port``.
        management: Where the node tells how it is, ``host:port``; empty for nowhere.
        weight: Share of new sessions beside other nodes.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        signer: Signer,
        *,
        address: str,
        management: str,
        weight: float,
    ) -> None:
        """Say nothing yet."""
        self._store = store
        self._clock = clock
        self._signer = signer
        self._address = address
        self._management = management
        self._weight = weight
        self._boot = clock.wall_ms()
        self._seq = 0
        self._is_troubled = False

    @asynccontextmanager
    async def announcing(self) -> AsyncGenerator[None]:
        """Announce the node for the time of the block, and say at its end that it is gone."""
        task = asyncio.create_task(self._run())
        try:
            yield
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            with suppress(TimeoutError):
                async with asyncio.timeout(_GOODBYE_TIMEOUT_S):
                    await self._say(is_gone=True)

    async def _run(self) -> None:
        while True:
            await self._say()
            if self._seq == 1:
                await self._forget_old()
            await sleep(self._clock, ANNOUNCE_EVERY_S)

    async def _say(self, *, is_gone: bool = False) -> None:
        self._seq += 1
        identity = self._signer.identity
        exp = 0 if is_gone else self._clock.wall_ms() + int(LASTS_S * 1000)
        announcement = Announcement(
            cluster=identity.cluster,
            node=identity.name,
            address=self._address,
            management=self._management,
            weight=self._weight,
            boot=self._boot,
            seq=self._seq,
            exp=exp,
        )
        document = signed_document(announcement, self._signer.key, self._signer.certificate)
        selector = {"_id": document["_id"]}
        fields = {name: value for name, value in document.items() if name != "_id"}
        update = Update(collection=NODES, selector=selector, modifier={"$set": fields}, upsert=True)
        await self._write(update)

    async def _forget_old(self) -> None:
        """Delete what was announced a day ago or before, by nodes that are not there any more."""
        old = {"exp": {"$lt": self._clock.wall_ms() - _FORGOTTEN_AFTER_MS}}
        await self._write(Delete(collection=NODES, selector=old, many=True))

    async def _write(self, operation: Update | Delete) -> None:
        """Write, or tell once that it does not work; there is always a next time."""
        try:
            await self._store.write(operation)
        except (BolideError, PyMongoError, OSError) as error:
            if not self._is_troubled:
                self._is_troubled = True
                _log.warning("the node cannot be announced", kind=type(error).__name__)
        else:
            self._is_troubled = False
