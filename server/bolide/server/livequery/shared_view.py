"""The result of one live query as all its followers share it, whatever keeps it up to date."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bolide.core.ddp.digests import document_digest, view_digest
from bolide.core.ddp.ids import id_stringify
from bolide.core.errors import StateError
from bolide.core.keys import Key
from bolide.core.values import Fields
from bolide.server.livequery.followers import Follower, Followers
from bolide.server.livequery.result import Entry
from bolide.server.sessions.view.source import Gate, Source
from bolide.server.sessions.view.view_change import ViewChange
from bolide.server.stores.base import Query
from bolide.server.telemetry.metrics import Metrics
from bolide.server.turn import Turn

__all__ = ["SharedView"]


class SharedView(ABC):
    """The view that sessions share.

    They look at it after :meth:`catch_up`, or at the end of a turn, when all followers were told of
    all changes.

    Args:
        query: What is followed.
        turn: Lets followers be told at its end.
        metrics: Where messages are counted.

    Attributes:
        query: What is followed.
        changes_told: Documents that entered, changed or left.
    """

    def __init__(self, query: Query, turn: Turn, metrics: Metrics) -> None:
        """Begin without followers."""
        self.query = query
        self.changes_told = 0
        self._turn = turn
        self._followers = Followers(metrics.messages_sent.inc)
        self._untold: list[ViewChange] = []
        self._digest: bytes | None = None
        self._is_closed = False

    @property
    @abstractmethod
    def _entries(self) -> Mapping[Key, Entry]:
        """The documents as the followers know them."""

    @property
    def is_closed(self) -> bool:
        """It failed or was left by all; nobody can join any more."""
        return self._is_closed

    @property
    def follower_count(self) -> int:
        """How many follow it."""
        return len(self._followers)

    @property
    def in_step_count(self) -> int:
        """How many of them get shared packets straight to their sockets."""
        return self._followers.in_step_count

    def join(self, follower: Follower) -> None:
        """Give a follower the present result, then every change; call it once it was read."""
        if self._is_closed:
            raise StateError("The live query ended while it was joined.")
        self.catch_up()
        self._followers.add(follower)
        follower.view_joined(self)

    def leave(self, follower: Follower) -> None:
        """Tell a follower nothing more; harmless if it left before."""
        self._followers.discard(follower)

    def fields(self, key: Key) -> Fields | None:
        """Return the fields of a document, None if it is not in the result."""
        entry = self._entries.get(key)
        return None if entry is None else entry.fields

    def documents(self) -> Iterable[tuple[Key, Any, Fields]]:
        """Go through the result: key, ``_id``, fields."""
        return ((key, entry.id, entry.fields) for key, entry in self._entries.items())

    def __len__(self) -> int:
        return len(self._entries)

    def initial(self) -> Sequence[ViewChange]:
        """Return every document as added; shared by all who join."""
        initial: list[ViewChange] = []
        for entry in self._entries.values():
            if entry.added is None:
                entry.added = ViewChange.added(self.query.published_in, entry.id, entry.fields)
            initial.append(entry.added)
        return initial

    def catch_up(self) -> None:
        """Tell all followers now what they would be told at the end of the turn."""
        if self._untold:
            changes, self._untold = self._untold, []
            self._followers.tell(changes)

    def step_in(self, source: Source, gate: Gate) -> None:
        """Send shared packets through the gate while it is open, instead of telling the source."""
        self._followers.step_in(source, gate)

    def step_out(self, source: Source) -> None:
        """Tell the source of every change again; harmless if it was told all along."""
        self._followers.step_out(source)

    def document_digest(self, key: Key) -> bytes:
        """Return the digest of a document in the result, 16 bytes."""
        entry = self._entries[key]
        if entry.digest is None:
            entry.digest = document_digest(entry.fields)
        return entry.digest

    def digesting(self) -> Iterator[None]:
        """Make the digests of documents that have none; may be stopped after each."""
        for key in () if self._digest is not None else tuple(self._entries):
            entry = self._entries.get(key)
            if entry is not None and entry.digest is None:
                entry.digest = document_digest(entry.fields)
                yield

    def digest(self) -> bytes:
        """Return the digest of the whole result, 16 bytes."""
        if self._digest is None:
            self._digest = view_digest(
                {id_stringify(e.id): self.document_digest(key) for key, e in self._entries.items()}
            )
        return self._digest

    def _tell(self, changes: Sequence[ViewChange]) -> None:
        """Tell the followers, at the end of the turn."""
        if changes:
            self.changes_told += len(changes)
            self._digest = None
            self._untold.extend(changes)
            self._turn.deliver_later(self.catch_up)

    def _fail(self, error: Exception) -> None:
        """Tell the followers that this was all."""
        self._is_closed = True
        self.catch_up()
        self._followers.fail(error)
