"""All that one node does with Redis."""

from collections.abc import Callable, Iterable

from bolide.server.clock import Clock
from bolide.server.limits import Limits
from bolide.server.redis.address import RedisAddress
from bolide.server.redis.broadcast import RedisBroadcast, channel_of
from bolide.server.redis.hint_stream import Hinted, HintReader
from bolide.server.redis.link import RedisLink
from bolide.server.redis.shared_counts import SharedCounts
from bolide.server.redis.state import RedisState
from bolide.server.sessions.ratelimit import RateLimiter
from bolide.server.telemetry.metrics import Metrics

__all__ = ["NodeRedis"]

NO_RULES = "no rule counts over several nodes"
"""Why rate limits are not counted together although Redis is there."""


class NodeRedis:
    """The link of a node, with what runs over it.

    Args:
        address: Where Redis is.
        stream: Name of the stream of hints; all other keys are in its slot.
        secret: That the nodes share and Redis does not know.
        limiter: Whose counts are shared.
        hinted: Who is told of hints.
        declared: Tells the names of the app's collections.
        broadcasts: Whether the app has messages for other nodes.
        limits: How many hints are taken, and what may wait for other nodes.
        clock: The time.
        metrics: Where it is counted.

    Attributes:
        link: The way to Redis.
        broadcast: The way to the other nodes; None if the app has nothing for them.
    """

    def __init__(
        self,
        address: RedisAddress,
        stream: str,
        secret: bytes,
        *,
        limiter: RateLimiter,
        hinted: Hinted,
        declared: Callable[[], Iterable[str]],
        broadcasts: bool,
        limits: Limits,
        clock: Clock,
        metrics: Metrics,
    ) -> None:
        """Begin without Redis."""
        self.link = RedisLink(address, stream, clock, metrics)
        self._clock = clock
        prefix = f"{{{stream}}}:"  # of the stream's slot in a cluster
        self.broadcast: RedisBroadcast | None = None
        if broadcasts:
            channel = f"{prefix}broadcast:{channel_of(secret)}"
            self.broadcast = RedisBroadcast(
                self.link, channel, secret, clock=clock, limits=limits, metrics=metrics
            )
        self._counts: SharedCounts | None = None
        if limiter.has_shared_rules:
            self._counts = SharedCounts(limiter, secret, prefix, clock, metrics)
            self.link.add(self._counts)
        self._hints = HintReader(
            stream,
            hinted,
            declared,
            max_per_s=limits.max_hints_per_s,
            clock=clock,
            metrics=metrics,
        )
        self.link.add(self._hints)

    async def open(self) -> None:
        """Look for Redis; return when it is there, or is away for now.

        Raises:
            ConfigurationError: If the setting cannot work.
        """
        await self.link.open()

    async def close(self) -> None:
        """Use Redis no more."""
        await self.link.close()

    @property
    def state(self) -> RedisState:
        """How it is now."""
        link, counts = self.link.state, self._hints.counts
        return RedisState(
            is_connected=link.is_connected,
            since_s=self._clock.now() - link.since,
            because=link.because,
            version=self.link.server.version if self.link.server else "",
            counts_alone_because=NO_RULES if self._counts is None else self._counts.waits_because,
            hints_taken=counts["taken"],
            hints_refused=counts["malformed"] + counts["too large"] + counts["undeclared"],
            hints_skipped=counts["skipped"],
        )
