"""The broadcast of a node that is alone: it tells its own listeners."""

from bolide.core.errors import StateError
from bolide.server.broadcast.base import BroadcastListener, BroadcastStatistics, check_message
from bolide.server.broadcast.listeners import Listeners
from bolide.server.limits import Limits

__all__ = ["DirectBroadcast"]


class DirectBroadcast:
    """Messages within this process.

    Args:
        limits: How large a message may be.
    """

    path = "in process"
    waits_because = ""
    neighbours = 0

    def __init__(self, limits: Limits) -> None:
        """Wait to be opened."""
        self.statistics = BroadcastStatistics()
        self._limits = limits
        self._listeners = Listeners()
        self._is_open = False

    async def open(self) -> None:
        """Let messages come."""
        self._is_open = True

    async def close(self) -> None:
        """Let nothing come any more."""
        self._is_open = False

    def listen(self, listener: BroadcastListener) -> None:
        """Tell ``listener`` of every message from now on."""
        self._listeners.add(listener)

    def unlisten(self, listener: BroadcastListener) -> None:
        """Tell it nothing more."""
        self._listeners.discard(listener)

    def publish(self, topic: str, payload: bytes) -> None:
        """Tell the listeners before it returns."""
        if not self._is_open:
            raise StateError("The broadcast is not open.")
        check_message(topic, payload, self._limits)
        self.statistics.published += 1
        self._listeners.receive(topic, payload)
