"""A time limit of something that has many, one after the other.

Setting one again is nearly free, because that happens for each request and hardly any is reached:
an alarm that lies in the loop's heap stays where it is, and finds out when it rings whether its
time has come. Only one that is to ring before that is put into the heap.
"""

from collections.abc import Callable
from math import inf
from typing import Protocol

__all__ = ["Alarm", "AlarmClock"]


def _nobody() -> None:
    """Stand for who was called before."""


class AlarmClock(Protocol):
    """What rings alarms.

    Attributes:
        now: Monotonic time at the begin of this turn, seconds.
    """

    now: float

    def ring_at(self, time: float, alarm: "Alarm") -> None:
        """Call :meth:`Alarm.ring` at a time, or a little later."""
        ...


class Alarm:
    """Calls something when a time is over.

    Args:
        clock: Rings it.
        call: Called once for each time that is over.
    """

    __slots__ = ("_call", "_clock", "_ends_at", "_rings_at")

    def __init__(self, clock: AlarmClock, call: Callable[[], None]) -> None:
        """Wait to be set."""
        self._clock = clock
        self._call = call
        self._ends_at: float = inf
        self._rings_at: float = inf

    def set(self, seconds: float) -> None:
        """Let the time be over in so many seconds, whatever was set before."""
        self._ends_at = ends_at = self._clock.now + seconds
        if ends_at < self._rings_at:
            self._rings_at = ends_at
            self._clock.ring_at(ends_at, self)

    def stop(self) -> None:
        """Let it not be over."""
        self._ends_at = inf

    def release(self) -> None:
        """Let it never be over, and let go of who was to be called.

        The loop keeps an alarm until the time at which it was to ring.
        """
        self._ends_at = inf
        self._call = _nobody

    def ring(self, time: float) -> None:
        """Look whether the time is over.

        Args:
            time: For which it was rung.
        """
        if time != self._rings_at:
            return  # it was set to an earlier time since, and rang then
        ends_at = self._ends_at
        if ends_at <= self._clock.now:
            self._rings_at = self._ends_at = inf
            self._call()
            return
        self._rings_at = ends_at
        if ends_at != inf:
            self._clock.ring_at(ends_at, self)
