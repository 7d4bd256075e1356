"""A follower of live queries that holds what it was told, and holds them to the laws."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.core.keys import key_of
from bolide.server.sessions.view.source import FollowedView
from bolide.server.sessions.view.view_change import ViewChange

__all__ = ["ViewReplica"]


class ViewReplica:
    """Keeps what it is told: ``added`` only of what it has not, the others only of what it has.

    Attributes:
        documents: Key of the ``_id`` -> fields.
        turns: What it was told, turn by turn.
        error: Why the view ended.
    """

    def __init__(self) -> None:
        self.documents: dict[Any, dict[str, Any]] = {}
        self.turns: list[Sequence[ViewChange]] = []
        self.error: Exception | None = None
        self._news = asyncio.Event()

    def view_joined(self, view: FollowedView) -> None:
        if initial := view.initial():
            self.view_changed(initial)

    def view_changed(self, changes: Sequence[ViewChange]) -> None:
        self.turns.append(changes)
        for change in changes:
            match change.message:
                case Added(_, id, fields):
                    assert key_of(id) not in self.documents
                    self.documents[key_of(id)] = dict(fields)
                case Changed(_, id, fields, cleared):
                    document = {**self.documents[key_of(id)], **fields}
                    shown = {name: document[name] for name in document if name not in cleared}
                    assert shown == change.fields
                    assert fields or cleared
                    self.documents[key_of(id)] = shown
                case Removed(_, id):
                    del self.documents[key_of(id)]
        self._news.set()

    def view_failed(self, error: Exception) -> None:
        self.error = error
        self._news.set()

    async def until(self, is_true: Callable[[], bool]) -> None:
        """Wait until something is true after something that it was told."""
        while not is_true():
            self._news.clear()
            await self._news.wait()
