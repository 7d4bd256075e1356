"""Published counts: how many documents a cursor has, kept up to date without the documents."""

from collections.abc import Hashable, Sequence
from dataclasses import replace
from typing import Final, Protocol

from bolide.core.ddp.messages import Added, Removed
from bolide.server.collections.cursor import Cursor
from bolide.server.sessions.view.source import FollowedView
from bolide.server.sessions.view.view_change import ViewChange
from bolide.server.stores.base import Query

__all__ = ["COUNTS", "CountHost", "CountSource", "LiveCount"]

COUNTS: Final = "counts"
"""The collection of the counts in a client."""


class LiveCount:
    """A count that a publish function returns; ``app.live_count`` makes it.

    Attributes:
        name: Its ``_id`` in the client.
    """

    __slots__ = ("_cursor", "name")

    def __init__(self, name: str, cursor: Cursor) -> None:
        """Keep what to count.

        Raises:
            TypeError: If the name is no text or ``cursor`` no cursor.
        """
        # The annotations are a promise of the app.
        if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError("The name of a count is a text that is not empty.")
        if not isinstance(cursor, Cursor):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"The count {name} needs a cursor: collection.find(...).")
        self.name = name
        self._cursor = cursor

    @property
    def query(self) -> Query:
        """What the running invocation may count.

        Ids only and in no order, so that equal counts share it.
        """
        return replace(self._cursor.admitted(), projection={"_id": 1}, sort=())


class CountHost(Protocol):
    """What a count needs of its subscription."""

    def source_changed(self, source: Hashable, changes: Sequence[ViewChange]) -> None:
        """Publish what changed."""
        ...

    def join_failed(self, error: BaseException) -> None:
        """End the subscription with an error."""
        ...


class CountSource:
    """Counts the documents of one live query for one subscription; its follower.

    Args:
        name: The count's ``_id`` in the client.
        host: The subscription.
    """

    __slots__ = ("_count", "_host", "_is_started", "_name")

    def __init__(self, name: str, host: CountHost) -> None:
        """Begin at 0."""
        self._name = name
        self._host = host
        self._count = 0
        self._is_started = False

    def start(self) -> None:
        """Publish the count; to be called when the first documents were counted."""
        self._is_started = True
        self._tell(ViewChange.added(COUNTS, self._name, {"count": self._count}))

    def view_joined(self, view: FollowedView) -> None:
        """Count the first documents."""
        self._count = len(view)

    def view_changed(self, changes: Sequence[ViewChange]) -> None:
        """Count who came and who left."""
        before = self._count
        for change in changes:
            self._count += isinstance(change.message, Added)
            self._count -= isinstance(change.message, Removed)
        if self._is_started and self._count != before:
            old, new = {"count": before}, {"count": self._count}
            self._tell(ViewChange.changed(COUNTS, self._name, new, old, new))

    def view_failed(self, error: Exception) -> None:
        """End the subscription, because the query cannot be followed any longer."""
        self._host.join_failed(error)

    def _tell(self, change: ViewChange) -> None:
        self._host.source_changed(self, [change])
