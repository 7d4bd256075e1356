"""What clients are told when everything they show may be late, because the database is away."""

from collections.abc import Callable
from typing import Final

from bolide.server.clock import Clock, Timer
from bolide.server.stores.feed_health import FeedHealth

__all__ = ["LATE_AFTER_S", "Lateness"]

LATE_AFTER_S: Final = 1.0
"""How long the feed of the store may wait before clients are told, seconds."""


class Lateness:
    """Tells when the feed begins to be late, and when it is late no more.

    Args:
        health: Of the feed.
        clock: The time.
        tell: Is called when ``because`` has changed.

    Attributes:
        because: Why it is late, in words; empty: it is not, or not for long enough.
    """

    def __init__(self, health: FeedHealth, clock: Clock, tell: Callable[[], object]) -> None:
        """Begin in time."""
        self.because = ""
        self._health = health
        self._clock = clock
        self._tell = tell
        self._timer: Timer | None = None
        health.watch(self._changed)

    def close(self) -> None:
        """Tell nothing more."""
        self._tell = lambda: None
        self._stop_timer()

    def _changed(self) -> None:
        if not self._health.waits_because or self.because:
            self._be(self._health.waits_because)
        elif self._timer is None:
            when = self._clock.now() + LATE_AFTER_S
            self._timer = self._clock.call_at(when, lambda: self._be(self._health.waits_because))

    def _be(self, because: str) -> None:
        self._stop_timer()
        if because != self.because:
            self.because = because
            self._tell()

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
