"""The node's link to Redis: found, watched, and found again whenever it was away.

Theory of operation. While Redis is there, its services run: each has connections of its own, and
the first that fails ends them all. Then Redis is away; it is looked for anew, at growing intervals,
by asking Sentinels or the cluster again, and the services begin afresh. So whatever a service knows
of a connection is of this one, and what it may have missed between two is told apart clearly.
"""

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from bolide.core.errors import ConfigurationError
from bolide.server.clock import Clock, sleep
from bolide.server.logging.log import describe_failure
from bolide.server.redis.address import RedisAddress
from bolide.server.redis.discovery import Server, find_server
from bolide.server.redis.errors import RedisAway
from bolide.server.telemetry.metrics import Metrics

__all__ = ["LinkState", "RedisLink", "RedisService", "until_one_fails"]

FIRST_ATTEMPT_S: Final = 5.0
"""How long a node that starts waits for Redis before it goes on without, seconds."""

FIRST_PAUSE_S: Final = 0.1
"""Time from a failure to the first new attempt, seconds; it doubles."""

LAST_PAUSE_S: Final = 5.0
"""Longest time between two attempts, seconds."""

_HEARTBEAT_S: Final = 2.0
_ATTEMPT_S: Final = 10.0


class RedisService(Protocol):
    """What runs while Redis is there."""

    async def serve(self, server: Server) -> None:
        """Work with a server until cancelled.

        Raises:
            RedisAway: If it cannot go on; everything begins afresh.
        """
        ...


async def until_one_fails(*working: Coroutine[None, None, None]) -> None:
    """Run work side by side until the first part fails, and end the others.

    Raises:
        Exception: What that part raised.
    """
    tasks = [asyncio.create_task(work) for work in working]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class LinkState:
    """Whether Redis is there.

    Attributes:
        is_connected: It is.
        since: Since when, monotonic seconds.
        because: Why not, in fixed words; empty if it is.
    """

    is_connected: bool
    since: float
    because: str


class RedisLink:
    """One node's way to Redis.

    Args:
        address: Where to look.
        key: Any of the node's keys; all have the same slot in a cluster.
        clock: The time.
        metrics: Where it is counted.

    Attributes:
        address: Where it looks.
        state: Whether Redis is there.
        server: The one that is used, while it is there.
    """

    def __init__(self, address: RedisAddress, key: str, clock: Clock, metrics: Metrics) -> None:
        """Begin without Redis."""
        self.address = address
        self.server: Server | None = None
        self.state = LinkState(False, clock.now(), "was not asked yet")
        self._key = key
        self._clock = clock
        self._metrics = metrics
        self._services: list[RedisService] = []
        self._watchers: list[Callable[[], object]] = []
        self._running: asyncio.Task[None] | None = None
        self._refusal: ConfigurationError | None = None
        self._log = structlog.get_logger("bolide.redis")

    def add(self, service: RedisService) -> None:
        """Let a service run whenever Redis is there; before :meth:`open`."""
        self._services.append(service)

    def watch(self, watcher: Callable[[], object]) -> None:
        """Call ``watcher`` after each change of :attr:`state`; it must not raise."""
        self._watchers.append(watcher)

    def unwatch(self, watcher: Callable[[], object]) -> None:
        """Call it no more."""
        self._watchers.remove(watcher)

    async def open(self) -> None:
        """Look for Redis until :meth:`close`; return when it is there, or is away for now.

        Raises:
            ConfigurationError: If Redis says that the setting cannot work, or where it leads is no
                Redis; the text says what to do. Later the same is a reason to be away.
        """
        tried = asyncio.Event()
        self.watch(tried.set)
        self._running = asyncio.create_task(self._run())
        try:
            async with asyncio.timeout(FIRST_ATTEMPT_S):
                await tried.wait()
        except TimeoutError:
            self._went_away("does not answer")
        finally:
            self.unwatch(tried.set)
        if self._refusal is not None:
            await self.close()
            raise self._refusal

    async def close(self) -> None:
        """Use Redis no more; harmless a second time."""
        if self._running is not None:
            self._running.cancel()
            await asyncio.gather(self._running, return_exceptions=True)
            self._running = None
        self.server = None
        self._metrics.redis_connected.set(0)

    # Inside

    async def _run(self) -> None:
        pause = FIRST_PAUSE_S
        while True:
            came: float | None = None
            try:
                async with asyncio.timeout(_ATTEMPT_S):
                    server = await find_server(self.address, self._key)
                self._came(server)
                came = self._clock.now()
                working = [one.serve(server) for one in self._services]
                await until_one_fails(self._watch_server(server), *working)
            except ConfigurationError as error:
                self._refusal = error
                self._went_away(f"cannot be used: the setting redis must be {error.expected}")
            except RedisAway as error:
                self._went_away(error.reason)
            except TimeoutError:
                self._went_away("does not answer")
            except Exception as error:
                self._log.error("a service of Redis failed", **describe_failure(error))
                self._went_away("was given up because a service failed; see the log")
            if came is not None and self._clock.now() - came > LAST_PAUSE_S:
                pause = FIRST_PAUSE_S  # it was there for a while
            # Not all nodes at the same moment.
            await sleep(self._clock, pause * random.uniform(0.5, 1.0))
            pause = min(2 * pause, LAST_PAUSE_S)

    async def _watch_server(self, server: Server) -> None:
        """Find out when it does not answer any more, or others took its place."""
        connection = await server.connect()
        try:
            while True:
                await sleep(self._clock, _HEARTBEAT_S)
                info: bytes = await connection.command("INFO", "replication")
                if b"role:master" not in info:
                    raise RedisAway("is a read-only replica now")
        finally:
            await connection.close()

    def _came(self, server: Server) -> None:
        self._refusal = None
        self.server = server
        away_s = round(self._clock.now() - self.state.since, 1)
        self._metrics.redis_connected.set(1)
        self._log.info("redis is there", version=server.version, away_s=away_s)
        if server.evicts:
            self._log.warning(
                "redis may evict what it holds: set its maxmemory-policy to noeviction",
                policy=server.evicts,
            )
        self._change(LinkState(True, self._clock.now(), ""))

    def _went_away(self, because: str) -> None:
        before = self.state
        if before.is_connected:
            self._metrics.redis_losses.inc()
        self.server = None
        self._metrics.redis_connected.set(0)
        if before.is_connected or before.because != because:
            self._log.warning("redis is away", because=because)
        since = self._clock.now() if before.is_connected else before.since
        self._change(LinkState(False, since, because))

    def _change(self, state: LinkState) -> None:
        self.state = state
        for watcher in tuple(self._watchers):
            watcher()
