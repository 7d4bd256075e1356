"""Events of a change stream become changes: nothing is awaited here, and nothing is cut.

Theory of operation. :meth:`Assembly.take` is given every answer of the stream. The events of a
transaction have one cluster time, and an answer may end between them: they are held until a later
answer proves that none is missing. What is complete becomes changes; an update is applied to the
document as it was, if that is known. If not, and if somebody wants it, the document is named in
:attr:`Assembled.missing`, and :meth:`Assembly.finish` takes it as it is at the end of these
changes. Earlier updates of the same document are left out then: nobody looks between the changes
of one batch. An update that nobody wants is not told of, whether the document is known or not.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final, TypeAlias

from bolide.core.keys import key_of
from bolide.core.values import Document
from bolide.server.stores.base import Change, ChangeKind
from bolide.server.stores.mongo.cluster_time import position_of
from bolide.server.stores.mongo.events import SIZE
from bolide.server.stores.mongo.feed.cache import DocumentCache, DocumentKey
from bolide.server.stores.mongo.feed.delta import applied
from bolide.server.stores.own_collections import FENCES

__all__ = ["DROPPED", "RENAMED", "REPLACED", "Assembled", "Assembly", "Event"]

# What the server sends, and how large a document is.
Event: TypeAlias = Mapping[str, Any]

_KINDS: Final = {
    "insert": ChangeKind.INSERT,
    "update": ChangeKind.UPDATE,
    "replace": ChangeKind.REPLACE,
    "delete": ChangeKind.DELETE,
}
_LOSSES: Final = frozenset({"drop", "rename"})

DROPPED: Final = "dropped"
RENAMED: Final = "renamed"
REPLACED: Final = "replaced"
"""What happened to a collection as a whole: another one was renamed onto it, or by ``$out``."""


def _always(*_: object) -> bool:
    return True


@dataclass(slots=True)
class Assembled:
    """Complete events.

    Attributes:
        position: Everything up to here is in it, or was before.
        changes: In order; those of documents that are missing have no document yet.
        missing: Document -> index of its last change.
        ids: ``_id`` of each document that is missing.
        lost: Collections that are not what they were, and what happened to each.
        told: Documents that the changes are of: nobody can say yet whether they want more.
    """

    position: int
    changes: list[Change | None] = field(default_factory=list["Change | None"])
    missing: dict[DocumentKey, int] = field(default_factory=dict["DocumentKey", int])
    ids: dict[DocumentKey, Any] = field(default_factory=dict["DocumentKey", Any])
    lost: list[tuple[str, str]] = field(default_factory=list["tuple[str, str]"])
    told: set[DocumentKey] = field(default_factory=set["DocumentKey"])


class Assembly:
    """Makes changes of events.

    Args:
        cache: Documents as they are; it is kept up to date.
        declared: Names of the collections that are told of; None for all.
        wants: Tells whether somebody wants an update (collection, ``_id``, paths) of a document
            by what was told of in earlier batches.

    Attributes:
        last_event: Position of the last event that was returned.
    """

    def __init__(
        self,
        cache: DocumentCache,
        declared: frozenset[str] | None = None,
        wants: Callable[[str, Any, Collection[str]], bool] = _always,
    ) -> None:
        """Begin with nothing held."""
        self.last_event = 0
        self._cache = cache
        self._declared = declared
        self._wants = wants
        self._held: list[Event] = []
        # Everything up to here was returned.
        self._position = 0

    @property
    def is_in_transaction(self) -> bool:
        """Whether events are held."""
        return bool(self._held)

    def restart(self) -> None:
        """Forget what was held: a stream begins again where nothing was held, or with a gap."""
        self._held.clear()

    def take(self, events: Sequence[Event], position: int) -> Assembled:
        """Take an answer of the stream.

        Args:
            events: In order.
            position: What its token says: whatever was up to there is in it, or was before.
        """
        complete: Iterable[Event] = chain(self._held, events) if self._held else events
        self._held = []
        # An answer without events, or a later time, proves that a transaction is complete.
        if events and "txnNumber" in events[-1]:
            last = position_of(events[-1]["clusterTime"])
            if last >= position:
                position = last - 1
                complete = self._without_end(complete, last)
        assembled = Assembled(max(position, self._position))
        at = 0
        for event in complete:
            at = position_of(event["clusterTime"])
            # A stream that was resumed before a transaction tells again what came beside it.
            if at > self._position:
                self._add(assembled, event, at)
        self.last_event = max(self.last_event, at)
        self._position = assembled.position
        return assembled

    def _without_end(self, events: Iterable[Event], last: int) -> Iterable[Event]:
        """Hold the events of one time at the end; returns those before."""
        complete = [*events]
        while complete and position_of(complete[-1]["clusterTime"]) == last:
            self._held.insert(0, complete.pop())
        return complete

    def lose(self, assembled: Assembled, collection: str) -> None:
        """Tell now that a collection is lost, as the stream will: missing ones cannot be read."""
        self._forget_all(assembled, collection)
        for index, change in enumerate(assembled.changes):
            if change is not None and change.collection == collection:
                assembled.changes[index] = None
        self._cache.remove_collection(collection)
        assembled.changes.append(
            Change(assembled.position, collection, None, ChangeKind.COLLECTION_LOST, None, None)
        )

    def finish(
        self, assembled: Assembled, found: Mapping[DocumentKey, Document]
    ) -> Sequence[Change]:
        """Return the changes, with the documents that were missing.

        Args:
            assembled: What :meth:`take` returned.
            found: Each document that was missing, as it is at ``assembled.position``; those that
                are not there any more are left out.
        """
        for key, index in assembled.missing.items():
            change = assembled.changes[index]
            assert change is not None
            after = found.get(key)
            if after is None:
                kind = ChangeKind.DELETE
                self._cache.remove(key)
            else:
                kind = change.kind
                self._cache.put(key, after)
            assembled.changes[index] = Change(
                change.position, change.collection, change.id, kind, None, after
            )
        return [change for change in assembled.changes if change is not None]

    def _add(self, assembled: Assembled, event: Event, position: int) -> None:
        kind = _KINDS.get(event["operationType"])
        if kind is None:
            if event["operationType"] in _LOSSES:
                self._add_losses(assembled, event, position)
            return
        collection = event["ns"]["coll"]
        if not self._is_ours(collection):
            return
        id = event["documentKey"]["_id"]
        key = (collection, key_of(id))
        before = None if kind is ChangeKind.INSERT else self._cache.before(key, position)
        if kind is ChangeKind.DELETE:
            after = None
            self._cache.remove(key)
        elif kind is ChangeKind.UPDATE:
            description = event["updateDescription"]
            after = None
            if before is not None and key not in assembled.missing:
                after = applied(before, description)
            if after is not None:
                self._cache.put(key, after, only_set=_only_set(description))
            if key not in assembled.told and not self._wants(collection, id, _paths(description)):
                if after is None:
                    self._cache.pass_over(key)
                return
            if after is None:
                self._miss(assembled, key, Change(position, collection, id, kind, None, None))
                return
        else:
            after = event["fullDocument"]
            self._cache.put(key, after, size=event.get(SIZE))
        if assembled.missing:
            # What came before of a document that is missing is not needed any more.
            self._forget(assembled, key)
        assembled.told.add(key)
        assembled.changes.append(Change(position, collection, id, kind, before, after))

    def _miss(self, assembled: Assembled, key: DocumentKey, change: Change) -> None:
        self._forget(assembled, key)
        self._cache.remove(key)
        assembled.told.add(key)
        assembled.missing[key] = len(assembled.changes)
        assembled.ids[key] = change.id
        assembled.changes.append(change)

    def _forget_all(self, assembled: Assembled, collection: str) -> None:
        for key in [key for key in assembled.missing if key[0] == collection]:
            self._forget(assembled, key)

    def _forget(self, assembled: Assembled, key: DocumentKey) -> None:
        index = assembled.missing.pop(key, None)
        if index is not None:
            assembled.changes[index] = None
            del assembled.ids[key]

    def _add_losses(self, assembled: Assembled, event: Event, position: int) -> None:
        if event["operationType"] == "drop":
            lost = {event["ns"]["coll"]: DROPPED}
        else:
            lost = {event["ns"]["coll"]: RENAMED, event["to"]["coll"]: REPLACED}
        for collection in filter(self._is_ours, lost):
            assembled.lost.append((collection, lost[collection]))
            self._forget_all(assembled, collection)
            self._cache.remove_collection(collection)
            assembled.changes.append(
                Change(position, collection, None, ChangeKind.COLLECTION_LOST, None, None)
            )

    def _is_ours(self, collection: str) -> bool:
        if self._declared is None:
            return collection != FENCES
        return collection in self._declared


def _paths(description: Event) -> tuple[str, ...]:
    """Return what an update set, removed or cut."""
    cut = [array["field"] for array in description.get("truncatedArrays") or ()]
    updated, removed = description.get("updatedFields"), description.get("removedFields")
    return (*(updated or ()), *(removed or ()), *cut)


def _only_set(description: Event) -> Mapping[str, Any] | None:
    """Return what an update set; None if it did something else too."""
    if description.get("removedFields") or description.get("truncatedArrays"):
        return None
    updated: Mapping[str, Any] | None = description.get("updatedFields")
    return updated
