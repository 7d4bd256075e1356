"""Rate limits: how often who may call or subscribe to what.

Follows Meteor's ``DDPRateLimiter``: a rule counts the requests that fit its matcher, one counter
for each combination of the values it names, and starts all its counters anew after each interval.

Nodes may count together. A request is decided at once, by what this node knows; what it let through
is told to the others a moment later, and theirs is added when it comes. For that all nodes begin
their intervals at the same moments of a common time. A rule that names sessions is counted by one
node alone, because a session is on one node.
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, fields
from itertools import islice
from typing import Literal, TypeAlias

from bolide.core.errors import MethodError

__all__ = ["Match", "RateLimitRule", "RateLimiter", "Request", "Untold"]

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


@dataclass(frozen=True, slots=True)
class Untold:
    """Requests that were let through and that the other nodes do not know of.

    Attributes:
        rule: Index of the rule.
        interval: Number of the interval, the same in all nodes.
        values: Of the request, as the rule names them.
        number: How many.
    """

    rule: int
    interval: int
    values: tuple[str | None, ...]
    number: int


class RateLimiter:
    """Counts requests against rules.

    Args:
        rules: All are looked at; the strictest decides.
        now: Monotonic time, seconds.

    Attributes:
        has_rules: Whether anything is counted.
        has_shared_rules: Whether anything could be counted together with other nodes.
    """

    def __init__(self, rules: Iterable[RateLimitRule], now: float) -> None:
        """Begin with all counters at zero, and alone."""
        self._rules = [_Counters(rule, now) for rule in rules]
        self._shared = {index: one for index, one in enumerate(self._rules) if one.may_be_shared}
        self._wake: Callable[[], object] | None = None
        self.has_rules = bool(self._rules)
        self.has_shared_rules = bool(self._shared)

    def check(self, request: Request, now: float) -> None:
        """Count a request.

        Args:
            request: Who asks for what.
            now: Monotonic time, seconds.

        Raises:
            MethodError: ``too-many-requests`` with Meteor's text, if a rule's limit is passed.
        """
        waits = [rule.count(request, now) for rule in self._rules]
        if self._wake is not None:
            self._wake()
        wait_s = max(waits, default=0.0)
        if wait_s > 0:
            raise MethodError(
                "too-many-requests",
                "Error, too many requests. Please slow down. You must wait "
                f"{math.ceil(wait_s)} seconds before trying again.",
                {"timeToReset": math.ceil(wait_s * 1000)},
            )

    def describe(self, rule: int) -> tuple[str, ...]:
        """Return what tells a rule from others, the same in every node with the same rules."""
        return self._rules[rule].description

    def interval_s(self, rule: int) -> float:
        """Return the length of a rule's interval, seconds."""
        return self._rules[rule].interval_s

    def share(self, offset_s: float, now: float, wake: Callable[[], object]) -> None:
        """Count together with other nodes from now on; call again when the times drift apart.

        Args:
            offset_s: The common time minus this node's monotonic time, seconds.
            now: Monotonic time, seconds.
            wake: Called after each request; must not raise.
        """
        self._wake = wake
        for rule in self._shared.values():
            rule.share(offset_s, now)

    def count_alone(self) -> None:
        """Count for this node only.

        What is known of the others still holds for its interval, and what is let through meanwhile
        is told to them when nodes count together again in the same interval.
        """
        self._wake = None

    def take_untold(self, most: int) -> list[Untold]:
        """Take what the others do not know of; it counts as told.

        Args:
            most: Most combinations at once.
        """
        taken: list[Untold] = []
        for index, rule in self._shared.items():
            taken += rule.take_untold(index, most - len(taken))
        return taken

    def give_back(self, taken: Iterable[Untold]) -> None:
        """Let what was taken be told again: nobody knows whether the others heard of it."""
        for untold in taken:
            self._shared[untold.rule].give_back(untold)

    def learn(self, told: Untold, total: int) -> None:
        """Learn what all nodes have let through together.

        Args:
            told: What was taken.
            total: Of all nodes in that interval, what was taken included.
        """
        self._shared[told.rule].learn(told, total)


class _Counters:
    """One rule and what it counted in the present interval."""

    def __init__(self, rule: RateLimitRule, now: float) -> None:
        self._rule = rule
        self._started = now
        self._counts: dict[tuple[str | None, ...], int] = {}
        self._named = [name for name in _MATCHED if getattr(rule, name) is not None]
        self.may_be_shared = "connection_id" not in self._named
        # Since nodes count together.
        self._offset_s: float | None = None
        self._interval = -1
        self._untold: dict[tuple[str | None, ...], int] = {}

    @property
    def interval_s(self) -> float:
        return self._rule.interval_s

    @property
    def description(self) -> tuple[str, ...]:
        """The rule in words; of a function only that there is one."""
        named = [(name, getattr(self._rule, name)) for name in self._named]
        return (
            f"{self._rule.num_requests}/{self._rule.interval_s}",
            *(f"{name}={value if isinstance(value, str) else '()'}" for name, value in named),
        )

    def count(self, request: Request, now: float) -> float:
        """Count a request; return how long to wait, 0 if it may pass."""
        values = tuple(getattr(request, name) for name in self._named)
        if not all(map(self._fits, self._named, values)):
            return 0.0
        if now - self._started >= self._rule.interval_s:
            self._begin_interval(now)
        count = self._counts[values] = self._counts.get(values, 0) + 1
        if count <= self._rule.num_requests:
            if self._offset_s is not None:
                self._untold[values] = self._untold.get(values, 0) + 1
            return 0.0
        return max(self._started + self._rule.interval_s - now, 0.001)

    def share(self, offset_s: float, now: float) -> None:
        """Have intervals of a common time; what was counted alone belongs to the present one."""
        is_first = self._offset_s is None
        self._offset_s = offset_s
        if is_first:
            self._untold = {
                values: min(count, self._rule.num_requests)
                for values, count in self._counts.items()
            }
            self._place_interval(offset_s, now)

    def take_untold(self, index: int, most: int) -> list[Untold]:
        """Take what was let through and told to nobody."""
        values = list(islice(self._untold, max(0, most)))
        return [Untold(index, self._interval, one, self._untold.pop(one)) for one in values]

    def give_back(self, untold: Untold) -> None:
        """Have it told again, unless the interval is over."""
        if untold.interval == self._interval:
            number = self._untold.get(untold.values, 0) + untold.number
            self._untold[untold.values] = number

    def learn(self, told: Untold, total: int) -> None:
        """Take over what all nodes counted, unless the interval is over."""
        if told.interval == self._interval and told.values in self._counts:
            known = total + self._untold.get(told.values, 0)
            self._counts[told.values] = max(self._counts[told.values], known)

    def _begin_interval(self, now: float) -> None:
        self._counts.clear()
        self._untold.clear()
        self._started = now
        if self._offset_s is not None:
            self._place_interval(self._offset_s, now)

    def _place_interval(self, offset_s: float, now: float) -> None:
        number = math.floor((now + offset_s) / self._rule.interval_s)
        # The common time may be set back a little: an interval that is over does not come again.
        self._interval = number + (number == self._interval)
        self._started = min(self._interval * self._rule.interval_s - offset_s, now)

    def _fits(self, name: str, value: str | None) -> bool:
        wanted: Match = getattr(self._rule, name)
        return wanted(value) if callable(wanted) else wanted == value
