"""Rate limits that count over all nodes, through counters in Redis.

A request is never held up: it is decided by what its node knows. What was let through travels in
one round trip, at once if nothing travelled lately and otherwise with all that gathers in
``PAUSE_S``; the answer says what all nodes let through together. So Redis costs a node the same at
any rate of requests, and what passes beyond a limit is what other nodes let through within that
time.
"""

import asyncio
import base64
import hashlib
import hmac
from typing import Final

import structlog

from bolide.server.clock import Clock, sleep
from bolide.server.redis.discovery import Server
from bolide.server.redis.errors import RedisFull
from bolide.server.sessions.ratelimit import RateLimiter, Untold
from bolide.server.telemetry.metrics import Metrics

__all__ = ["MAX_TOLD", "PAUSE_S", "SharedCounts"]

PAUSE_S: Final = 0.02
"""Least time between two round trips, seconds."""

MAX_TOLD: Final = 500
"""Most counters in one round trip; further ones go with the next."""

_FULL_PAUSE_S: Final = 1.0
_IDLE_S: Final = 30.0
_KEEP_S: Final = 10.0
"""How long a counter is kept beyond its interval, seconds: clocks and answers may be late."""

# All or nothing, so that no counter is left without an end. The time comes last: before Redis 7 a
# script that asked for it may not write any more.
_SCRIPT: Final = """
local totals = {}
for i, key in ipairs(KEYS) do
  totals[i] = redis.call('INCRBY', key, ARGV[2 * i - 1])
  redis.call('PEXPIRE', key, ARGV[2 * i])
end
local now = redis.call('TIME')
return {now[1], now[2], totals}
"""


class SharedCounts:
    """Lets a rate limiter count together with those of other nodes.

    Args:
        limiter: Of this node.
        secret: That the nodes share and Redis does not know.
        prefix: What the keys begin with.
        clock: The time.
        metrics: Where it is told whether nodes count together.

    Attributes:
        waits_because: Why each node counts for itself, in fixed words; empty if they count
            together.
    """

    def __init__(
        self, limiter: RateLimiter, secret: bytes, prefix: str, clock: Clock, metrics: Metrics
    ) -> None:
        """Count alone until Redis is there."""
        self.waits_because = "redis is away"
        self._limiter = limiter
        self._secret = secret
        self._prefix = prefix
        self._clock = clock
        self._metrics = metrics
        self._is_due = asyncio.Event()
        self._log = structlog.get_logger("bolide.redis")

    async def serve(self, server: Server) -> None:
        """Exchange counts with a server until cancelled.

        Raises:
            RedisAway: If it does not answer.
        """
        connection = await server.connect()
        try:
            self._is_due.set()  # the first answer tells the time
            while True:
                timer = self._clock.call_at(self._clock.now() + _IDLE_S, self._is_due.set)
                await self._is_due.wait()
                timer.cancel()
                self._is_due.clear()
                untold = self._limiter.take_untold(MAX_TOLD)
                try:
                    asked_at = self._clock.now()
                    seconds, microseconds, totals = await connection.command(
                        "EVAL", _SCRIPT, len(untold), *map(self._key, untold),
                        *(argument for one in untold for argument in self._arguments(one)),
                    )  # fmt: skip
                except RedisFull:
                    self._limiter.give_back(untold)
                    if self.waits_because != "redis is full":
                        self._count_alone("redis is full")
                        self._log.warning("redis is full: rate limits count for each node alone")
                    await sleep(self._clock, _FULL_PAUSE_S)
                    self._is_due.set()
                    continue
                except BaseException:
                    self._limiter.give_back(untold)
                    raise
                now = self._clock.now()
                offset_s = int(seconds) + int(microseconds) / 1e6 - (asked_at + now) / 2
                self._count_together(offset_s, now)
                for one, total in zip(untold, totals, strict=True):
                    self._limiter.learn(one, total)
                if len(untold) == MAX_TOLD:
                    self._is_due.set()
                await sleep(self._clock, PAUSE_S)
        finally:
            self._count_alone("redis is away")
            await connection.close()

    def _count_together(self, offset_s: float, now: float) -> None:
        self._limiter.share(offset_s, now, self._is_due.set)
        if self.waits_because:
            self.waits_because = ""
            self._metrics.rate_limits_shared.set(1)
            self._log.info("rate limits count over all nodes")

    def _count_alone(self, because: str) -> None:
        self._limiter.count_alone()
        self._metrics.rate_limits_shared.set(0)
        self.waits_because = because

    def _key(self, untold: Untold) -> bytes:
        """Return a counter's key, from which nobody learns whom it counts.

        Addresses are few enough to be tried one by one, so a plain digest would tell.
        """
        described = repr((self._limiter.describe(untold.rule), untold.interval, untold.values))
        code = hmac.digest(self._secret, described.encode(), hashlib.sha256)[:18]
        return f"{self._prefix}count:".encode() + base64.urlsafe_b64encode(code)

    def _arguments(self, untold: Untold) -> tuple[int, int]:
        keep_s = self._limiter.interval_s(untold.rule) + _KEEP_S
        return untold.number, round(keep_s * 1000)
