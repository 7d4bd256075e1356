"""A link to a real Redis, in the loop of the test."""

import asyncio
from collections.abc import AsyncGenerator, Callable

import pytest
import pytest_asyncio
from tests.turns import yield_once

from bolide.server.clock import SystemClock
from bolide.server.redis.address import parse_redis_url
from bolide.server.redis.link import LinkState, RedisLink
from bolide.server.telemetry.metrics import Metrics

__all__ = ["STREAM", "Links", "until_link", "yield_until"]

STREAM = "bolide:hints"


async def until_link(link: RedisLink, holds: Callable[[LinkState], bool]) -> LinkState:
    """Return the first state for which something holds."""
    changed = asyncio.Event()
    link.watch(changed.set)
    async with asyncio.timeout(20):
        while not holds(link.state):
            changed.clear()
            await changed.wait()
    return link.state


async def yield_until(holds: Callable[[], bool]) -> None:
    """Let others run until something holds; for what tells nobody."""
    async with asyncio.timeout(20):
        while not holds():
            await yield_once()


class Links:
    """Makes links, and closes them."""

    def __init__(self) -> None:
        self.metrics = Metrics()
        self._links: list[RedisLink] = []

    def __call__(self, url: str) -> RedisLink:
        link = RedisLink(parse_redis_url(url), STREAM, SystemClock(), self.metrics)
        self._links.append(link)
        return link

    async def close(self) -> None:
        for link in self._links:
            await link.close()


@pytest_asyncio.fixture
async def new_link() -> AsyncGenerator[Links]:
    links = Links()
    yield links
    await links.close()


@pytest.fixture(autouse=True)
def _needs_redis(redis_is_there: None) -> None:
    """Skip the folder where there is no redis-server."""
