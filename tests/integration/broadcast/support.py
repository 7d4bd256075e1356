"""What the contract suite of broadcasts needs beside a broadcast."""

import asyncio
from collections.abc import Callable
from typing import Protocol

import pytest

from bolide.server.broadcast.base import Broadcast
from bolide.server.clock import Clock
from bolide.server.limits import Limits

__all__ = ["ALL", "BETWEEN_NODES", "Hearer", "OpenBroadcast"]

_WAIT_S = 20.0

BETWEEN_NODES = pytest.mark.parametrize(
    "kind", ["memory", "sqlite", "mongodb", "redis"], indirect=True
)
"""For tests of several nodes; ``memory`` is two nodes on one store in this process."""

ALL = pytest.mark.parametrize(
    "kind", ["direct", "memory", "sqlite", "mongodb", "redis"], indirect=True
)


class OpenBroadcast(Protocol):
    """Opens the broadcast of one more node."""

    async def __call__(
        self, *, clock: Clock | None = None, limits: Limits | None = None
    ) -> Broadcast: ...


class Hearer:
    """A listener that keeps all it hears.

    Attributes:
        heard: Topic and payload of each message.
        misses: How often it was told that something was missed.
    """

    def __init__(self, broadcast: Broadcast) -> None:
        self.heard: list[tuple[str, bytes]] = []
        self.misses = 0
        self._news = asyncio.Event()
        broadcast.listen(self)

    def message_received(self, topic: str, payload: bytes) -> None:
        self.heard.append((topic, payload))
        self._news.set()

    def messages_missed(self) -> None:
        self.misses += 1
        self._news.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        """Wait until something holds that only news can change."""
        async with asyncio.timeout(_WAIT_S):
            while not condition():
                await self._news.wait()
                self._news.clear()

    async def hears(self, count: int) -> list[tuple[str, bytes]]:
        """Wait for so many messages in all; returns them."""
        await self.until(lambda: len(self.heard) >= count)
        return self.heard
