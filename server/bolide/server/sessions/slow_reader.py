"""The slow reader: a client whose socket is full has to take something now and then."""

from collections.abc import Callable
from typing import Final

from bolide.server.clock import Clock, Timer
from bolide.server.sessions.transport import Transport

__all__ = ["LEAST_PROGRESS", "SlowReader"]

LEAST_PROGRESS: Final = 65_536
"""What a client whose socket is full must take in each period, bytes."""


class SlowReader:
    """Watches whether one client reads, from when its socket was full until it has room again.

    Args:
        transport: The socket.
        clock: The time.
        period_s: How long the client has to take :data:`LEAST_PROGRESS`.
        give_up: Called once when it took less.
    """

    __slots__ = ("_clock", "_give_up", "_period_s", "_timer", "_transport", "_waiting")

    _timer: Timer

    def __init__(
        self, transport: Transport, clock: Clock, period_s: float, give_up: Callable[[], object]
    ) -> None:
        """Begin to watch."""
        self._transport = transport
        self._clock = clock
        self._period_s = period_s
        self._give_up = give_up
        self._watch()

    def stop(self) -> None:
        """Watch no longer."""
        self._timer.cancel()

    def _watch(self) -> None:
        self._waiting = self._transport.waiting_bytes
        self._timer = self._clock.call_at(self._clock.now() + self._period_s, self._judge)

    def _judge(self) -> None:
        if self._waiting - self._transport.waiting_bytes < LEAST_PROGRESS:
            self._give_up()
        else:
            self._watch()
