"""The time that live queries may take: of one turn of the event loop together, and each for itself.

A client may bring a pattern that is slow to match, and many clients many. So matching stops when a
turn has had its time, and goes on in the next one, after all else that waits was served; nobody is
left out, some are later. Who takes much more than a change is worth pays for it: what is beyond an
allowance is counted, what is below it is credited, and above a limit the query ends with an error.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from time import perf_counter
from typing import Final

from bolide.core.errors import MethodError
from bolide.core.minimongo.regexes.regex import MATCH_TIMEOUT_S, TimeLimit
from bolide.server.limits import Limits

__all__ = ["CHANGE_ALLOWANCE_S", "Account", "QueryTooExpensive", "Turns"]

CHANGE_ALLOWANCE_S: Final = 0.002
"""What one change may cost one live query; most cost a hundredth of it, seconds."""

_MOST_CHARGED_S: Final = 2 * MATCH_TIMEOUT_S
"""Most that one change is charged, seconds: the process may have been stopped meanwhile."""


class QueryTooExpensive(MethodError):
    """A live query takes too much time for each change."""

    def __init__(self) -> None:
        """Say so; the text is the same for all, and goes to the client."""
        super().__init__(
            "query-too-expensive",
            "This query takes too long to be kept up to date; use a simpler regular expression, or"
            " ask for fewer documents.",
        )


class Account:
    """What one live query took beyond its allowance, and all it took.

    Args:
        limit_s: Where it ends, seconds.

    Attributes:
        seconds: Time spent matching, in all.
        excess_s: Time beyond :data:`CHANGE_ALLOWANCE_S` for each change, less what later changes
            left of theirs.
    """

    __slots__ = ("_limit_s", "excess_s", "seconds")

    def __init__(self, limit_s: float) -> None:
        """Begin with nothing taken."""
        self._limit_s = limit_s
        self.seconds = 0.0
        self.excess_s = 0.0

    def charge(self, seconds: float, changes: int) -> None:
        """Count time that was spent on some changes.

        Raises:
            QueryTooExpensive: If it has taken too much by now.
        """
        self.seconds += seconds
        beyond = min(seconds, changes * _MOST_CHARGED_S) - changes * CHANGE_ALLOWANCE_S
        self.excess_s = max(0.0, self.excess_s + beyond)
        if self.excess_s > self._limit_s:
            raise QueryTooExpensive


class Turns:
    """Cuts the work of live queries into turns of the event loop.

    Args:
        limits: ``live_query_turn_ms`` is the time of one turn.
        now: Monotonic time, seconds.

    Attributes:
        now: Returns the time.
        deadline: When the turn has had its time.
        match_deadline: When regular expressions must be done with the present document.
        time_limit: Lets regular expressions inside its block know that.
    """

    def __init__(
        self, limits: Limits | None = None, now: Callable[[], float] = perf_counter
    ) -> None:
        """Begin in a turn that has all its time."""
        self.now = now
        self._limits = limits or Limits()
        self._turn_s = self._limits.live_query_turn_ms / 1000
        self._waiting: deque[Callable[[], None]] = deque()
        self._is_scheduled = False
        self.deadline = 0.0
        self.match_deadline = 0.0
        self.time_limit = TimeLimit(self._match_time_left)
        self._is_untouched = True
        self.begin()

    def begin(self) -> None:
        """Begin a turn."""
        self.deadline = self.now() + self._turn_s
        self._is_untouched = True

    def has_time(self, now: float) -> bool:
        """Tell whether work may begin in this turn; some always may, so that it comes to an end.

        Args:
            now: The time.
        """
        is_first, self._is_untouched = self._is_untouched, False
        return is_first or now < self.deadline

    def open_account(self) -> Account:
        """Return an account for one live query."""
        return Account(self._limits.live_query_excess_ms / 1000)

    def later(self, work: Callable[[], None]) -> None:
        """Do something in a later turn, after what waits already."""
        self._waiting.append(work)
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._go_on)

    def _match_time_left(self) -> float:
        return self.match_deadline - self.now()

    def _go_on(self) -> None:
        self._is_scheduled = False
        self.begin()
        # What comes back meanwhile waits for the next turn.
        for number in range(len(self._waiting)):
            if number and self.now() >= self.deadline:
                break
            self._waiting.popleft()()
        if self._waiting and not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._go_on)
