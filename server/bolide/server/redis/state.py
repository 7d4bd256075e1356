"""How a node gets on with Redis, for those who look at it."""

from dataclasses import dataclass

__all__ = ["RedisState"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RedisState:
    """How the node gets on with Redis.

    Attributes:
        is_connected: Redis is there.
        since_s: Time since it came or went, seconds.
        because: Why it is away, in fixed words; empty if it is there.
        version: Of Redis; empty while it is away.
        counts_alone_because: Why rate limits count for each node by itself; empty if they count
            over all nodes.
        hints_taken: Hints that live queries were told of.
        hints_refused: Those that were malformed, too large, or for no collection of the app.
        hints_skipped: How often there were too many, so that everything was read instead.
    """

    is_connected: bool
    since_s: float
    because: str
    version: str
    counts_alone_because: str
    hints_taken: int
    hints_refused: int
    hints_skipped: int
