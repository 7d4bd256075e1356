"""Decide when a client obeys a server that asks it to connect anew.

Sans-I/O: the caller owns the clock, the random numbers and the sockets.
"""

from dataclasses import dataclass
from typing import Final

__all__ = ["BETWEEN_S", "MAX_WITHIN_S", "MOST_AT_ONCE", "Moves", "Plan"]

MAX_WITHIN_S: Final = 600.0
"""A server cannot make a client plan further ahead, seconds."""
BETWEEN_S: Final = 30.0
"""Time for which one request to move is obeyed in the long run, seconds."""
MOST_AT_ONCE: Final = 5
"""How many are obeyed without a pause: nodes that are drained one after the other meet the same
client again, most often fewer times than the logarithm of their number."""

# What is left of the time is for dialling and for calls that are still unanswered.
_SHARE_FOR_WAITING: Final = 0.75


@dataclass(frozen=True, slots=True)
class Plan:
    """When to move.

    Attributes:
        start: When the new connection is to be opened, monotonic time in seconds.
        end: When the server may close the old one.
    """

    start: float
    end: float


class Moves:
    """The requests to move that one client gets."""

    __slots__ = ("_caught_up",)

    def __init__(self) -> None:
        """Obey the first ones."""
        # When all that were obeyed would have been, at one in their time.
        self._caught_up = 0.0

    def asked(self, within_s: float, now: float, fraction: float) -> Plan | None:
        """Take a request; None if it is not obeyed, because there were too many.

        Args:
            within_s: Time that the server gives, seconds.
            now: Monotonic time, seconds.
            fraction: Random number, 0 inclusive to 1 exclusive: clients spread over the time.
        """
        if self._caught_up - now > (MOST_AT_ONCE - 1) * BETWEEN_S:
            return None
        self._caught_up = max(self._caught_up, now) + BETWEEN_S
        within_s = min(max(within_s, 0.0), MAX_WITHIN_S)
        return Plan(now + within_s * _SHARE_FOR_WAITING * fraction, now + within_s)
