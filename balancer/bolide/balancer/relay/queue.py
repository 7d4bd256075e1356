"""Requests that wait until a node has room, in the order in which they came."""

from collections.abc import Callable

from bolide.balancer.relay.alarm import Alarm
from bolide.balancer.relay.event_loop import EventLoop

__all__ = ["Queue"]


class _Waiting:
    __slots__ = ("alarm", "give_up", "go_on")

    def __init__(self, go_on: Callable[[], bool], give_up: Callable[[], None]) -> None:
        self.go_on = go_on
        self.give_up = give_up
        self.alarm: Alarm | None = None


class Queue:
    """Who waits.

    Args:
        loop: Knows the time.
        max_length: How many wait at the same time.
        timeout_s: How long one waits, seconds.

    Attributes:
        max_length: The same, from now on.
        timeout_s: The same, from now on.
    """

    def __init__(self, loop: EventLoop, *, max_length: int, timeout_s: float) -> None:
        """Begin with nobody."""
        self.max_length = max_length
        self.timeout_s = timeout_s
        self._loop = loop
        self._waiting: dict[_Waiting, None] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def put(self, go_on: Callable[[], bool], give_up: Callable[[], None]) -> bool:
        """Let somebody wait; returns False if too many do.

        Args:
            go_on: Called when there is room; returns False if nobody waits any more.
            give_up: Called when the time is over.
        """
        if len(self._waiting) >= self.max_length:
            return False
        waiting = _Waiting(go_on, give_up)
        self._waiting[waiting] = None

        def expire() -> None:
            if self._waiting.pop(waiting, waiting) is None:
                give_up()

        waiting.alarm = Alarm(self._loop, expire)
        waiting.alarm.set(self.timeout_s)
        return True

    def release(self) -> None:
        """Let the first one go on: there may be room for one."""
        while self._waiting:
            waiting = next(iter(self._waiting))
            del self._waiting[waiting]
            assert waiting.alarm is not None
            waiting.alarm.stop()
            if waiting.go_on():
                return
