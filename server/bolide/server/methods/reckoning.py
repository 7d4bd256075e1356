"""The time by which calls are forgotten: it never runs away from the time that passes.

A wall clock may be days wrong after a boot, a pause or a typing error, and what is forgotten by it
cannot be brought back. So the time of day is taken for a limit only: the reckoned time begins at
the newest call that is stored, goes on at most :data:`MOST_SPEED` times as fast as monotonic time,
and is never later than the clock says. Time in which no node ran counts as if it had not passed
until the reckoning has caught up; a client could not repeat anything in it either.
"""

from typing import Final

from bolide.server.clock import Clock

__all__ = ["MOST_SPEED", "Reckoning"]

MOST_SPEED: Final = 2
"""How many times as fast as time it may go. A call is kept for half of its time at least, whatever
the clock does."""


class Reckoning:
    """The reckoned time of one node.

    Args:
        clock: The time of day, and the time that passes.
        newest_ms: When the newest stored call was made, UTC milliseconds; None: there is none.
    """

    def __init__(self, clock: Clock, newest_ms: int | None) -> None:
        """Begin at the newest call, or now."""
        self._clock = clock
        self._looked_at = clock.now()
        now_ms = clock.wall_ms()
        self._reckoned_ms = now_ms if newest_ms is None else min(newest_ms, now_ms)

    def now_ms(self) -> int:
        """Return the reckoned time, UTC milliseconds; ask at each call that is made, too."""
        now = self._clock.now()
        passed_ms = round((now - self._looked_at) * 1000)
        self._looked_at = now
        self._reckoned_ms = min(self._reckoned_ms + MOST_SPEED * passed_ms, self._clock.wall_ms())
        return self._reckoned_ms
