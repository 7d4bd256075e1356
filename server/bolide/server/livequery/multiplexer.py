"""One live query: its present result, and who follows it.

The result joins the feed without a gap: changes are buffered from before the first read on; after
it, those up to the snapshot's position are dropped and the others applied. A window (limit, skip,
or ``$near``) is read again when a change touches it; bursts end in one reading.
"""

import asyncio
from collections.abc import Iterable, Sequence
from typing import Any, Protocol

from bolide.core.errors import StateError
from bolide.core.keys import Key, key_of
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.projection import Projection
from bolide.core.values import Document, Fields
from bolide.server.sessions.view_change import ViewChange, changed_fields
from bolide.server.stores.base import Change, ChangeKind, Position, Query, Snapshot, Store

__all__ = ["Follower", "Multiplexer"]


class Follower(Protocol):
    """Who is told of a live query's changes; called on the event loop, must not block."""

    def view_changed(self, changes: Sequence[ViewChange]) -> None:
        """Take what changed in one turn; at the start, every document as added."""
        ...

    def view_failed(self, error: Exception) -> None:
        """Learn that the query cannot be followed any longer."""
        ...


class _Entry:
    """One document of the result; its ``added`` is made once for all who join later."""

    __slots__ = ("added", "fields", "id")

    def __init__(self, id: Any, fields: Fields) -> None:
        self.id = id
        self.fields = fields
        self.added: ViewChange | None = None


class Multiplexer:
    """A query that is kept up to date for all its followers.

    Args:
        query: What to follow.
        store: Where it is read.

    Raises:
        MinimongoError: If the selector or the projection does not compile, or hides ``_id``.
    """

    def __init__(self, query: Query, store: Store) -> None:
        """Compile the query; nothing is read yet."""
        self.query = query
        self.reread_count = 0
        self._store = store
        self._matcher = Matcher(query.selector)
        self._projection = Projection(None if query.projection is None else dict(query.projection))
        if not self._projection.includes_id:
            raise MinimongoError("A live query cannot leave out the _id.")
        self._is_window = bool(query.limit or query.skip or self._matcher.has_near)
        self._entries: dict[Key, _Entry] = {}
        self._position: Position | None = None
        self._read_at: Position | None = None
        self._early: list[Sequence[Change]] = []
        self._followers: list[Follower] = []
        self._starting: asyncio.Task[None] | None = None
        self._stale_since: Position | None = None
        self._rereading: asyncio.Task[None] | None = None
        self._is_closed = False

    @property
    def is_closed(self) -> bool:
        """It failed or was left by all; nobody can join any more."""
        return self._is_closed

    @property
    def follower_count(self) -> int:
        """How many follow it."""
        return len(self._followers)

    async def start(self) -> None:
        """Read the first result, once for all that wait for it."""
        if self._starting is None:
            self._starting = asyncio.create_task(self._start())
        await asyncio.shield(self._starting)

    def join(self, follower: Follower) -> None:
        """Give a follower the present result, then every change; call it after :meth:`start`."""
        if self._is_closed:
            raise StateError("The live query ended while it was joined.")
        self._followers.append(follower)
        initial: list[ViewChange] = []
        for entry in self._entries.values():
            if entry.added is None:
                entry.added = ViewChange.added(self.query.collection, entry.id, entry.fields)
            initial.append(entry.added)
        if initial:
            follower.view_changed(initial)

    def leave(self, follower: Follower) -> None:
        """Tell a follower nothing more; harmless if it left before."""
        if follower in self._followers:
            self._followers.remove(follower)

    def close(self) -> None:
        """End all work on it."""
        self._is_closed = True
        for task in (self._starting, self._rereading):
            if task is not None and not task.done():
                task.cancel()

    def changes_received(self, changes: Sequence[Change]) -> None:
        """Take changes of the collection, all of one batch."""
        if self._position is None or (self._rereading is not None and not self._is_window):
            self._early.append(changes)
        else:
            self._take(changes)

    def history_lost(self, position: Position) -> None:
        """Read again, because changes before ``position`` were missed."""
        if self._position is None:
            # The first reading may lie before the gap.
            self._stale_since = position
        else:
            self._reread(position)

    async def settled(self, position: Position | None = None) -> None:
        """Wait until the changes received were given to the followers.

        Args:
            position: Up to where; None is up to the end, which a window that others change all
                the time does not come to.
        """
        if self._starting is not None and not self._starting.done():
            await asyncio.wait([self._starting])
        while self._rereading is not None and not self._is_closed:
            await asyncio.wait([self._rereading])
            if position is not None and self._read_at is not None and position <= self._read_at:
                return

    # Inside

    async def _start(self) -> None:
        snapshot = await self._store.read(self.query, after=self._stale_since)
        self._entries = dict(self._result(snapshot.documents))
        self._position = snapshot.position
        lost, self._stale_since = self._stale_since, None
        if lost is not None and not lost <= snapshot.position:
            self._reread(lost)
        if self._rereading is None or self._is_window:
            self._take_early()

    def _take_early(self) -> None:
        early, self._early = self._early, []
        for number, changes in enumerate(early, 1):
            self._take(changes)
            if self._stale_since is not None and not self._is_window:
                # Beside documents that may be gone, later ones would make a state that never was.
                self._early = early[number:]
                return

    def _take(self, changes: Sequence[Change]) -> None:
        position = self._position
        assert position is not None
        new = [change for change in changes if not change.position <= position]
        if not new:
            return
        self._position = new[-1].position
        try:
            self._apply(new)
        except Exception as error:  # a regular expression that takes too long, for example
            self._fail(error)

    def _apply(self, changes: Sequence[Change]) -> None:
        lost = any(change.kind is ChangeKind.COLLECTION_LOST for change in changes)
        if lost or (self._is_window and any(map(self._touches, changes))):
            self._reread(changes[-1].position)
        elif not self._is_window:
            told = [told for change in changes if (told := self._followed(change)) is not None]
            self._tell(told)

    def _touches(self, change: Change) -> bool:
        """Tell whether a change may alter a window."""
        if change.kind is ChangeKind.DELETE and change.before is None:
            return True
        return (
            key_of(change.id) in self._entries
            or (change.after is not None and self._matcher.matches(change.after))
            or (change.before is not None and self._matcher.matches(change.before))
            or (change.before is None and change.kind is not ChangeKind.INSERT)
        )

    def _followed(self, change: Change) -> ViewChange | None:
        """Apply one change to a result that is no window."""
        key = key_of(change.id)
        entry = self._entries.get(key)
        if change.after is None or not self._matcher.matches(change.after):
            if entry is None:
                return None
            del self._entries[key]
            return ViewChange.removed(self.query.collection, change.id)
        return self._put(key, entry, change.id, self._shown(change.after))

    def _put(self, key: Key, entry: _Entry | None, id: Any, fields: Fields) -> ViewChange | None:
        if entry is None:
            entry = self._entries[key] = _Entry(id, fields)
            entry.added = ViewChange.added(self.query.collection, id, fields)
            return entry.added
        changes = changed_fields(entry.fields, fields)
        if not changes:
            return None
        entry.fields = fields
        entry.added = None
        return ViewChange.changed(self.query.collection, id, changes, fields)

    def _shown(self, document: Document) -> Fields:
        return _without_id(self._projection.apply(document))

    def _result(self, documents: Iterable[Document]) -> Iterable[tuple[Key, _Entry]]:
        for document in documents:
            id = document["_id"]
            yield key_of(id), _Entry(id, _without_id(document))

    def _reread(self, position: Position) -> None:
        """Read the whole result again, at or after a position; soon and once."""
        if self._stale_since is None or self._stale_since <= position:
            self._stale_since = position
        if self._rereading is None:
            self._rereading = asyncio.create_task(self._read_again())

    async def _read_again(self) -> None:
        try:
            snapshot = await self._store.read(self.query, after=self._stale_since)
            self.reread_count += 1
            self._replace(snapshot)
        except Exception as error:
            self._fail(error)
        finally:
            self._rereading = None
        if self._stale_since is not None and not self._is_closed:
            self._reread(self._stale_since)

    def _replace(self, snapshot: Snapshot) -> None:
        """Take a newer result, tell the difference, then what happened since."""
        assert self._position is not None
        assert self._stale_since is not None
        self._position = max(self._position, snapshot.position)
        if self._stale_since <= snapshot.position:
            self._stale_since = None
        self._read_at = snapshot.position
        new = dict(self._result(snapshot.documents))
        told = [
            ViewChange.removed(self.query.collection, entry.id)
            for key, entry in self._entries.items()
            if key not in new
        ]
        entries: dict[Key, _Entry] = {}
        for key, entry in new.items():
            old = self._entries.get(key)
            change = self._put(key, old, entry.id, entry.fields)
            entries[key] = self._entries[key]
            if change is not None:
                told.append(change)
        self._entries = entries
        self._tell(told)
        if self._stale_since is None:
            self._take_early()

    def _tell(self, changes: Sequence[ViewChange]) -> None:
        if changes:
            for follower in tuple(self._followers):
                follower.view_changed(changes)

    def _fail(self, error: Exception) -> None:
        self._is_closed = True
        followers, self._followers = self._followers, []
        for follower in followers:
            follower.view_failed(error)


def _without_id(document: Document) -> Fields:
    return {name: value for name, value in document.items() if name != "_id"}
