"""The feed of a store: who listens, and who waits for a position."""

import asyncio
from collections.abc import Callable, Collection
from typing import Any

from bolide.core.errors import StateError
from bolide.server.stores.base import ChangeBatch, FeedListener, Position, SelectiveListener

__all__ = ["Feed"]


class Feed:
    """Tells listeners of changes; used on the event loop only.

    Attributes:
        position: Everything up to here was delivered.
    """

    def __init__(self, position: Position) -> None:
        """Begin at a position, with nobody listening."""
        self.position = position
        self._listeners: list[FeedListener] = []
        # Those that want some updates only; asking each update of what class they are takes long.
        self._selective: list[SelectiveListener] = []
        self._waiting: list[tuple[Position, asyncio.Future[None]]] = []

    @property
    def is_awaited(self) -> bool:
        """Somebody waits for a position."""
        return bool(self._waiting)

    def listen(self, listener: FeedListener) -> None:
        """Tell ``listener`` of everything from now on."""
        self._listeners.append(listener)
        if isinstance(listener, SelectiveListener):
            self._selective.append(listener)

    def unlisten(self, listener: FeedListener) -> None:
        """Tell it nothing more; harmless if it does not listen."""
        if listener in self._listeners:
            self._listeners.remove(listener)
            if isinstance(listener, SelectiveListener):
                self._selective.remove(listener)

    def wants_update(self, collection: str, id: Any, paths: Collection[str]) -> bool:
        """Tell whether a listener wants an update; one that cannot tell wants all."""
        if len(self._selective) < len(self._listeners):
            return True
        for listener in self._selective:  # noqa: SIM110 - a generator costs more than the answers
            if listener.wants_update(collection, id, paths):
                return True
        return False

    def deliver(self, batch: ChangeBatch) -> None:
        """Tell of the next batch."""
        self._tell(lambda listener: listener.changes_received(batch))
        self._move(batch.position)

    def lose_history(self, position: Position) -> None:
        """Tell that the changes up to ``position`` are not known one by one."""
        self._tell(lambda listener: listener.history_lost(position))
        self._move(position)

    def has_reached(self, position: Position) -> bool:
        """Tell whether everything up to a position was delivered."""
        return position <= self.position

    async def reached(self, position: Position) -> None:
        """Wait until everything up to ``position`` was delivered.

        Raises:
            StateError: If the store is closed before.
        """
        if not position <= self.position:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append((position, future))
            await future

    def close(self) -> None:
        """Let nobody wait any longer."""
        for _, future in self._waiting:
            if not future.done():
                future.set_exception(StateError("The store was closed."))
        self._waiting.clear()

    def _tell(self, tell: Callable[[FeedListener], None]) -> None:
        for listener in tuple(self._listeners):
            # One may have been taken off by another's turn.
            if listener not in self._listeners:
                continue
            try:
                tell(listener)
            except Exception as error:  # it breaks its promise, the others keep theirs
                asyncio.get_running_loop().call_exception_handler(
                    {"message": "A listener of the change feed failed.", "exception": error}
                )

    def _move(self, position: Position) -> None:
        self.position = position
        waiting, self._waiting = self._waiting, []
        for wanted, future in waiting:
            if not wanted <= position:
                self._waiting.append((wanted, future))
            elif not future.done():
                future.set_result(None)
