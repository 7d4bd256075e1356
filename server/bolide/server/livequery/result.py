"""The present result of one live query: takes changes, gives what its followers are to be told.

Three kinds. A query without limit is matched: each change decides for itself. A window in an order
holds a buffer beyond it. What depends on documents that nobody holds (a limit without order, a
``$near``, a very large skip) is read again. None of them reads: :meth:`QueryResult.take` answers
whether somebody must.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Final

from bolide.core.keys import Key, key_of
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.projection import Projection
from bolide.core.minimongo.sorter import Sorter, with_id
from bolide.core.minimongo.window import Window
from bolide.core.values import Document, Fields
from bolide.server.livequery.hidden import HiddenDocuments
from bolide.server.livequery.routing.interest import Interest, interest_in
from bolide.server.livequery.routing.router import Router
from bolide.server.sessions.view.view_change import ViewChange, changed_fields
from bolide.server.stores.base import Change, ChangeKind, Query

__all__ = [
    "HIDDEN_ID",
    "MAX_BUFFER",
    "MAX_HELD_SKIP",
    "MIN_BUFFER",
    "Entry",
    "MatchedResult",
    "QueryResult",
    "RequeriedResult",
    "WindowResult",
    "make_result",
]

MIN_BUFFER: Final = 10
MAX_BUFFER: Final = 200
"""A window holds as many documents beyond its end as it publishes, within these numbers."""

MAX_HELD_SKIP: Final = 1_000
"""Most skipped documents that a window holds; one that skips more is read again instead."""


HIDDEN_ID: Final = "A live query cannot leave out the _id."
"""Why a projection is refused: DDP names documents by it."""


class Entry:
    """One document as the followers know it; what is made of it is made once for all.

    Attributes:
        id: Its ``_id``.
        fields: All its fields, projected; shared, never to be changed.
        added: The change that shows it to a new follower; None: not made yet.
        digest: Its digest, 16 bytes; None: not made yet.
    """

    __slots__ = ("added", "digest", "fields", "id")

    def __init__(self, id: Any, fields: Fields) -> None:
        """Keep a document."""
        self.id = id
        self.fields = fields
        self.added: ViewChange | None = None
        self.digest: bytes | None = None


class QueryResult(ABC):
    """The documents of a live query.

    What :meth:`take` and :meth:`load` learn is told by :meth:`flush`, the net difference of all
    of it; until then :attr:`entries` are what the followers know.

    Args:
        query: What is followed.
        matcher: Its selector, compiled.

    Attributes:
        entries: Key of the ``_id`` -> document, as the followers know them.
        query: What is followed.
        hidden: Documents of the result that cannot be sent; they are no entries.

    Raises:
        MinimongoError: If the projection or the sort does not compile, or ``_id`` is hidden.
    """

    is_requeried: bool = False
    """A change that touches it always means reading; changes during a reading are not kept."""

    stale_because: ClassVar[str] = "window"
    """Why it is read again when :meth:`take` says so."""

    def __init__(self, query: Query, matcher: Matcher) -> None:
        """Begin without documents."""
        self.entries: dict[Key, Entry] = {}
        self.hidden = HiddenDocuments()
        self.query = query
        self._matches = matcher.matches
        self._projection = self._compiled(query.projection)
        sort_paths = [path for path, _ in query.sort]
        self._interest = interest_in([*matcher.paths, *sort_paths], self._projection)
        self._router: Router[Any] | None = None
        self._owner: Any = None

    def be_routed(self, router: Router[Any], owner: object) -> None:
        """Tell a router from now on which documents the owner's result holds."""
        self._router, self._owner = router, owner

    @property
    def interest(self) -> Interest:
        """What it looks at."""
        return self._interest

    @property
    def reading(self) -> Query:
        """What is to be read for :meth:`load`.

        These are whole documents, to which a store can apply what changes later; or, of those of
        which nothing but the ``_id`` is shown, that.
        """
        shows_id_only = self._projection.including and self._projection.paths == ("_id",)
        return self.query if shows_id_only else replace(self.query, projection=None)

    @property
    def held_count(self) -> int:
        """How many documents it holds."""
        return len(self.entries)

    @abstractmethod
    def load(self, documents: Sequence[Document]) -> None:
        """Take the answer to :attr:`reading`, instead of all that was known before."""

    @abstractmethod
    def take(self, change: Change) -> bool:
        """Take the next change of a document.

        Returns:
            True if the result is known; False if it must be read, at or after this change.

        Raises:
            MinimongoError: If matching takes too long, or the document has no place in the order.
        """

    @abstractmethod
    def flush(self) -> list[ViewChange]:
        """Bring :attr:`entries` up to date and return what changed; not while it must be read."""

    def _compiled(self, projection: Mapping[str, Any] | None) -> Projection:
        """Return what makes what is shown of what was read."""
        compiled = Projection(None if projection is None else dict(projection))
        if not compiled.includes_id:
            raise MinimongoError(HIDDEN_ID)
        return compiled

    def _put(self, key: Key, document: Document) -> ViewChange | None:
        """Note a document of the result, as it is now."""
        id, entry = document["_id"], self.entries.get(key)
        shown = self._projection.apply(document)
        fields = {name: value for name, value in shown.items() if name != "_id"}
        if not self.hidden.check(key, id, fields):
            return self._take_back(key)
        if entry is None:
            entry = self.entries[key] = Entry(id, fields)
            entry.added = ViewChange.added(self.query.published_in, id, fields)
            return entry.added
        changes = changed_fields(entry.fields, fields)
        if not changes:
            return None
        before, entry.fields = entry.fields, fields
        entry.added = entry.digest = None
        return ViewChange.changed(self.query.published_in, id, changes, before, fields)

    def _holds(self, key: Key) -> bool:
        """Tell whether a document is in the result, sent or left out."""
        return key in self.entries or key in self.hidden

    def _remove(self, key: Key) -> ViewChange | None:
        """Note that a document is not in the result."""
        if self.hidden:
            self.hidden.forget(key)
        return self._take_back(key)

    def _take_back(self, key: Key) -> ViewChange | None:
        entry = self.entries.pop(key, None)
        if entry is None:
            return None
        return ViewChange.removed(self.query.published_in, entry.id, entry.fields)

    def _note(self, key: Key, is_held: bool) -> None:
        """Let the router know whether a document is held."""
        if self._router is not None:
            (self._router.hold if is_held else self._router.drop)(self._owner, key)


class MatchedResult(QueryResult):
    """The result of a query without limit: what matches is in it."""

    def __init__(self, query: Query, matcher: Matcher) -> None:
        """Begin without documents."""
        super().__init__(query, matcher)
        # What is to be told: the document, or None if it is not in the result any more.
        self._news: dict[Key, Document | None] = {}

    def load(self, documents: Sequence[Document]) -> None:
        """Take all documents that match."""
        self._news = dict.fromkeys((*self.entries, *self.hidden))
        self._news.update((key_of(document["_id"]), document) for document in documents)

    def take(self, change: Change) -> bool:
        """Take a change; nothing but the document decides."""
        key, after = key_of(change.id), change.after
        if after is not None and self._matches(after):
            self._news[key] = after
        elif self._holds(key) or key in self._news:
            self._news[key] = None
        return True

    def flush(self) -> list[ViewChange]:
        """Tell of the documents that were taken."""
        news, self._news = self._news, {}
        told: list[ViewChange] = []
        for key, document in news.items():
            was_held = self._holds(key)
            change = self._remove(key) if document is None else self._put(key, document)
            if change is not None:
                told.append(change)
            if was_held != (document is not None):
                self._note(key, not was_held)
        return told


class WindowResult(QueryResult):
    """The result of a query with an order and a limit or skip: a part of what it holds.

    It reads whole documents, because the projection may hide what they are ordered by.
    """

    def __init__(self, query: Query, matcher: Matcher) -> None:
        """Begin without documents."""
        super().__init__(query, matcher)
        self._window = Window(
            Sorter(with_id(query.sort)),
            skip=query.skip,
            limit=query.limit,
            buffer=min(max(query.limit, MIN_BUFFER), MAX_BUFFER),
        )

    @property
    def reading(self) -> Query:
        """What is to be read: from the first document to the end of the buffer."""
        return replace(self.query, skip=0, limit=self._window.capacity, projection=None)

    @property
    def held_count(self) -> int:
        """How many documents it holds, published or not."""
        return len(self._window)

    def load(self, documents: Sequence[Document]) -> None:
        """Take the documents from the first to the end of the buffer."""
        self._window.load([(key_of(document["_id"]), document) for document in documents])

    def take(self, change: Change) -> bool:
        """Take a change; False if the buffer is at its end."""
        key, after = key_of(change.id), change.after
        if after is not None and self._matches(after):
            self._window.put(key, after)
        else:
            self._window.discard(key)
        return not self._window.must_be_read

    def flush(self) -> list[ViewChange]:
        """Tell what entered, changed or left the published part; what left comes first."""
        window = self._window
        left: list[ViewChange] = []
        told: list[ViewChange] = []
        for key in window.take_touched():
            self._note(key, key in window)
            document = window.published.get(key)
            if document is None:
                removed = self._remove(key)
                if removed is not None:
                    left.append(removed)
                continue
            change = self._put(key, document)
            if change is not None:
                told.append(change)
        return left + told


class RequeriedResult(MatchedResult):
    """The result of a query that only reading can tell."""

    is_requeried = True
    stale_because = "re-query"

    def take(self, change: Change) -> bool:
        """Say whether a change leaves the result alone; False also if that is not known."""
        before, after = change.before, change.after
        if before is None and change.kind is not ChangeKind.INSERT:
            return False
        return not (
            key_of(change.id) in self.entries
            or (after is not None and self._matches(after))
            or (before is not None and self._matches(before))
        )


def make_result(query: Query, matcher: Matcher) -> tuple[QueryResult, str]:
    """Choose how the result of a query is kept.

    Returns:
        The result, and in words why it is not simply matched; empty if it is.

    Raises:
        MinimongoError: As :class:`QueryResult`.
    """
    if matcher.has_near:
        return RequeriedResult(query, matcher), "$near orders by distance"
    if not query.limit and not query.skip:
        return MatchedResult(query, matcher), ""
    if not query.sort:
        return RequeriedResult(query, matcher), "limit or skip without sort"
    if query.skip > MAX_HELD_SKIP:
        return RequeriedResult(query, matcher), f"skips more than {MAX_HELD_SKIP} documents"
    # How many is an argument of a client as often as not, and no business of who reads this.
    asked = [name for name, number in (("skip", query.skip), ("limit", query.limit)) if number]
    return WindowResult(query, matcher), f"sorted, with {' and '.join(asked)}"
