"""The listeners of one node: told in order, whatever one of them does."""

import asyncio
from collections.abc import Callable

from bolide.server.broadcast.base import BroadcastListener

__all__ = ["Listeners"]


class Listeners:
    """Who is told of messages."""

    __slots__ = ("_listeners",)

    def __init__(self) -> None:
        """Begin with nobody."""
        self._listeners: list[BroadcastListener] = []

    def add(self, listener: BroadcastListener) -> None:
        """Tell ``listener`` of everything from now on."""
        self._listeners.append(listener)

    def discard(self, listener: BroadcastListener) -> None:
        """Tell it nothing more; harmless if it does not listen."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def receive(self, topic: str, payload: bytes) -> None:
        """Tell of a message."""
        self._tell(lambda listener: listener.message_received(topic, payload))

    def miss(self) -> None:
        """Tell that messages may have been lost."""
        self._tell(lambda listener: listener.messages_missed())

    def _tell(self, tell: Callable[[BroadcastListener], None]) -> None:
        for listener in tuple(self._listeners):
            try:
                tell(listener)
            except Exception as error:  # it breaks its promise, the others keep theirs
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "A listener of the broadcast failed.", "exception": error}
                )
