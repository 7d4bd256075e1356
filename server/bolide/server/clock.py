"""The clock as a port, so that tests own the time."""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol

__all__ = ["Clock", "SystemClock", "Timer", "sleep"]


class Timer(Protocol):
    """A callback that is due later."""

    def cancel(self) -> None:
        """Forget the callback; harmless if it ran already."""
        ...


class Clock(Protocol):
    """What the node knows about time."""

    def now(self) -> float:
        """Return monotonic time, seconds."""
        ...

    def wall_ms(self) -> int:
        """Return the time of day, UTC milliseconds since 1970."""
        ...

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` on the event loop at monotonic time ``when``, seconds."""
        ...


class SystemClock:
    """The event loop's own clock, of the loop that it is first used on until that is closed."""

    __slots__ = ("_loop",)

    def __init__(self) -> None:
        """Begin without a loop."""
        # To ask for the running loop is a system call on Python 3.11: getpid().
        self._loop: asyncio.AbstractEventLoop | None = None

    def now(self) -> float:
        """Return the loop's monotonic time, seconds."""
        loop = self._loop
        if loop is None or loop.is_closed():
            loop = self._loop = asyncio.get_running_loop()
        return loop.time()

    def wall_ms(self) -> int:
        """Return the time of day, UTC milliseconds since 1970."""
        return time.time_ns() // 1_000_000

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        """Call ``callback`` at loop time ``when``, seconds."""
        return asyncio.get_running_loop().call_at(when, callback)


async def sleep(clock: Clock, seconds: float) -> None:
    """Return after a time.

    Args:
        clock: Whose time.
        seconds: How long.
    """
    over = asyncio.Event()
    timer = clock.call_at(clock.now() + seconds, over.set)
    try:
        await over.wait()
    finally:
        timer.cancel()
