"""Rate limits: how often who may call or subscribe to what.

Follows Meteor's ``DDPRateLimiter``: a rule counts the requests that fit its matcher, one counter
for each combination of the values it names, and starts all its counters anew after each interval.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from typing import Literal, TypeAlias

from bolide.core.errors import MethodError

__all__ = ["Match", "RateLimitRule", "RateLimiter", "Request"]

Match: TypeAlias = str | Callable[[str | None], bool] | None
"""None fits everything and is not counted apart; a text must be equal; a function decides."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One call or subscription, as rules see it.

    Attributes:
        type: What is asked for.
        name: The method or publication.
        user_id: Who asks; None if nobody is logged in.
        client_address: From where; None if unknown.
        connection_id: The session's id.
    """

    type: Literal["method", "subscription"]
    name: str
    user_id: str | None
    client_address: str | None
    connection_id: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RateLimitRule:
    """At most ``num_requests`` requests that fit in each ``interval_s`` seconds.

    Attributes:
        type: ``"method"``, ``"subscription"``, a function, or None for both.
        name: Which methods or publications.
        user_id: Which users.
        client_address: Which addresses.
        connection_id: Which sessions.
        num_requests: Most requests of one combination in an interval, number.
        interval_s: Length of an interval, seconds.
    """

    type: Match = None
    name: Match = None
    user_id: Match = None
    client_address: Match = None
    connection_id: Match = None
    num_requests: int = 10
    interval_s: float = 1.0


_MATCHED = tuple(field.name for field in fields(Request))


class RateLimiter:
    """Counts requests against rules.

    Args:
        rules: All are looked at; the strictest decides.
        now: Monotonic time, seconds.
    """

    def __init__(self, rules: Iterable[RateLimitRule], now: float) -> None:
        """Begin with all counters at zero."""
        self._rules = [_Counters(rule, now) for rule in rules]

    @property
    def has_rules(self) -> bool:
        """Whether anything is counted."""
        return bool(self._rules)

    def check(self, request: Request, now: float) -> None:
        """Count a request.

        Args:
            request: Who asks for what.
            now: Monotonic time, seconds.

        Raises:
            MethodError: ``too-many-requests`` with Meteor's text, if a rule's limit is passed.
        """
        waits = [rule.count(request, now) for rule in self._rules]
        wait_s = max(waits, default=0.0)
        if wait_s > 0:
            raise MethodError(
                "too-many-requests",
                "Error, too many requests. Please slow down. You must wait "
                f"{math.ceil(wait_s)} seconds before trying again.",
                {"timeToReset": math.ceil(wait_s * 1000)},
            )


class _Counters:
    """One rule and what it counted in the present interval."""

    def __init__(self, rule: RateLimitRule, now: float) -> None:
        self._rule = rule
        self._started = now
        self._counts: dict[tuple[str | None, ...], int] = {}
        self._named = [name for name in _MATCHED if getattr(rule, name) is not None]

    def count(self, request: Request, now: float) -> float:
        """Count a request; return how long to wait, 0 if it may pass."""
        values = tuple(getattr(request, name) for name in self._named)
        if not all(map(self._fits, self._named, values)):
            return 0.0
        if now - self._started >= self._rule.interval_s:
            self._started = now
            self._counts.clear()
        self._counts[values] = self._counts.get(values, 0) + 1
        if self._counts[values] <= self._rule.num_requests:
            return 0.0
        return max(self._started + self._rule.interval_s - now, 0.001)

    def _fits(self, name: str, value: str | None) -> bool:
        wanted: Match = getattr(self._rule, name)
        return wanted(value) if callable(wanted) else wanted == value
