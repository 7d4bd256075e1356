"""What the server has told of its documents, and the buffer that keeps a reconnect from showing.

Sans-I/O. A server that was lost and found again sends every document anew. Until all of them are
there, what arrives is kept aside; then only the difference is told. If somebody must not wait any
longer, :meth:`Replica.show_arrived` tells what has arrived, and keeps the documents that have not
until :meth:`Replica.finish_catch_up`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.core.keys import Key, key_of
from bolide.core.values import Document, equals

__all__ = ["DataMessage", "DocumentChange", "Replica"]

DataMessage: TypeAlias = Added | Changed | Removed

_Collections: TypeAlias = dict[str, dict[Key, Document]]


@dataclass(frozen=True, slots=True)
class DocumentChange:
    """One document as it is now.

    Attributes:
        collection: Name of the collection.
        document_id: Its ``_id``.
        document: The whole document, ``_id`` included; None if it is gone. Read-only.
    """

    collection: str
    # An ``_id`` is what the application made it: mostly str or ObjectId.
    document_id: Any
    document: Document | None


@dataclass(slots=True)
class Replica:
    """All documents of all collections, as one server told them.

    A document is never altered: a change makes a new one, so that readers may keep the old.
    """

    _shown: _Collections = field(default_factory=dict[str, dict[Key, Document]])
    # While catching up: what the new session sent so far.
    _arrived: _Collections | None = None
    # After show_arrived(): documents of the old session that have not arrived again.
    _stale: dict[tuple[str, Key], Document] = field(default_factory=dict[tuple[str, Key], Document])

    def receive(self, message: DataMessage) -> list[DocumentChange]:
        """Take one message; the answer is empty while the change is kept aside, or is none.

        A server without a merge box may add twice, change what it never added and remove what is
        gone; as Meteor's client does, these count as a change, an addition, and nothing.
        """
        target = self._shown if self._arrived is None else self._arrived
        documents = target.setdefault(message.collection, {})
        key = key_of(message.id)
        if self._stale.pop((message.collection, key), None) is not None:
            # It is in ``documents`` still, but the new session knows nothing of those fields.
            stale = documents.pop(key)
            after = _applied(None, message)
            if after is not None:
                documents[key] = after
            return [] if _is_same(stale, after) else [_change(message, after)]
        before = documents.get(key)
        after = _applied(before, message)
        if after is None:
            documents.pop(key, None)
        else:
            documents[key] = after
        if self._arrived is not None or _is_same(before, after):
            return []
        return [_change(message, after)]

    def begin_catch_up(self) -> None:
        """Keep aside what arrives from now on: it comes from a new session."""
        self._arrived = {}
        self._stale = {}

    def show_arrived(self) -> list[DocumentChange]:
        """Show what has arrived and keep, for now, what has not."""
        if self._arrived is None:
            return []
        arrived, self._arrived = self._arrived, None
        changes: list[DocumentChange] = []
        for name, key, document in _documents(self._shown):
            if key not in arrived.get(name, {}):
                self._stale[name, key] = document
        for name, key, document in _documents(arrived):
            shown = self._shown.setdefault(name, {})
            before = shown.get(key)
            if _is_same(before, document):
                continue
            shown[key] = document
            changes.append(DocumentChange(name, document["_id"], document))
        return changes

    def finish_catch_up(self) -> list[DocumentChange]:
        """Show what has arrived, and let go of what has not."""
        changes = self.show_arrived()
        stale, self._stale = self._stale, {}
        gone: list[DocumentChange] = []
        for (name, key), document in stale.items():
            del self._shown[name][key]
            gone.append(DocumentChange(name, document["_id"], None))
        return gone + changes


def _applied(before: Document | None, message: DataMessage) -> Document | None:
    if isinstance(message, Removed):
        return None
    document: Document = {"_id": message.id} if before is None else dict(before)
    document.update(message.fields)
    if isinstance(message, Changed):
        for name in message.cleared:
            document.pop(name, None)
    document["_id"] = message.id
    return document


def _is_same(before: Document | None, after: Document | None) -> bool:
    if before is None or after is None:
        return before is after
    return equals(before, after)


def _change(message: DataMessage, document: Document | None) -> DocumentChange:
    return DocumentChange(message.collection, message.id, document)


def _documents(collections: _Collections) -> Iterator[tuple[str, Key, Document]]:
    for name, documents in collections.items():
        for key, document in documents.items():
            yield name, key, document
