"""What the server has told of its documents, and the buffer that keeps a reconnect from showing.

Sans-I/O. A server that was lost and found again sends every document anew, or, in a resync, what
differs from what is shown. Until all of it is there, what arrives is kept aside; then only the
difference is told. If somebody must not wait any longer, :meth:`Replica.show_arrived` tells what
has arrived, and keeps the documents that have not until :meth:`Replica.finish_catch_up`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from bolide.client.events import DocumentChange
from bolide.core.ddp.digests import document_digest
from bolide.core.ddp.ids import id_stringify
from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.core.keys import Key, key_of
from bolide.core.values import Document, equals

__all__ = ["DataMessage", "Replica", "is_same"]

DataMessage: TypeAlias = Added | Changed | Removed

_Collections: TypeAlias = dict[str, dict[Key, Document]]


@dataclass(slots=True)
class Replica:
    """All documents of all collections, as one server told them.

    A document is never altered: a change makes a new one, so that readers may keep the old.
    """

    _shown: _Collections = field(default_factory=dict[str, dict[Key, Document]])
    # While catching up: what the new session sent so far; in a resync, what is shown as well.
    _arrived: _Collections | None = None
    # After show_arrived(): documents of the old session that have not arrived again.
    _stale: dict[tuple[str, Key], Document] = field(default_factory=dict[tuple[str, Key], Document])
    # Of documents that are shown, as far as they were asked for since the document changed.
    _digests: dict[tuple[str, Key], bytes] = field(default_factory=dict[tuple[str, Key], bytes])

    @property
    def document_count(self) -> int:
        """How many documents are shown."""
        return sum(map(len, self._shown.values()))

    def get(self, collection: str, key: Key) -> Document | None:
        """Return a document as it is shown, None if there is none."""
        return self._shown.get(collection, {}).get(key)

    def digests(self) -> dict[str, dict[str, bytes]]:
        """Return the digests of all documents that are shown.

        Returns:
            Collection -> id as on the wire -> digest; only collections that have documents.
        """
        return {
            name: {
                id_stringify(document["_id"]): self._digest(name, key, document)
                for key, document in documents.items()
            }
            for name, documents in self._shown.items()
            if documents
        }

    def receive(self, message: DataMessage) -> list[DocumentChange]:
        """Take one message; the answer is empty while the change is kept aside, or is none.

        A server without a merge box may add twice, change what it never added and remove what is
        gone; as Meteor's client does, these count as a change, an addition, and nothing.
        """
        if self._arrived is not None:
            self._receive_aside(message, self._arrived.setdefault(message.collection, {}))
            return []
        key = key_of(message.id)
        before = self.get(message.collection, key)
        if self._stale.pop((message.collection, key), None) is None:
            after = _applied(before, message)
        else:
            # The new session knows nothing of the fields that are shown.
            after = _applied(None, message)
        self._show(message.collection, key, after)
        return [] if is_same(before, after) else [_change(message, after)]

    def begin_catch_up(self, *, resync: bool = False) -> None:
        """Keep aside what arrives from now on: it comes from a new session.

        Args:
            resync: The session sends only what differs from what is shown.
        """
        self._arrived = (
            {name: dict(documents) for name, documents in self._shown.items()} if resync else {}
        )
        self._stale = {}

    def drop(self) -> list[DocumentChange]:
        """Let all documents go at once: they are not for the person who is there now."""
        gone = [
            DocumentChange(name, document["_id"], None)
            for name, _, document in _documents(self._shown)
        ]
        self._shown, self._stale, self._digests = {}, {}, {}
        if self._arrived is not None:
            self._arrived = {}
        return gone

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
            before = self.get(name, key)
            if before is document:
                continue
            # Also an equal one: what is told of a document is a digest of the last that came.
            self._show(name, key, document)
            if is_same(before, document):
                continue
            changes.append(DocumentChange(name, document["_id"], document))
        return changes

    def finish_catch_up(self) -> list[DocumentChange]:
        """Show what has arrived, and let go of what has not."""
        changes = self.show_arrived()
        stale, self._stale = self._stale, {}
        gone: list[DocumentChange] = []
        for (name, key), document in stale.items():
            self._show(name, key, None)
            gone.append(DocumentChange(name, document["_id"], None))
        return gone + changes

    def _receive_aside(self, message: DataMessage, documents: dict[Key, Document]) -> None:
        key = key_of(message.id)
        before = documents.get(key)
        if isinstance(message, Added) and before is self.get(message.collection, key):
            # Left from the former session, while ``added`` begins a document of this one.
            before = None
        after = _applied(before, message)
        if after is None:
            documents.pop(key, None)
        else:
            documents[key] = after

    def _show(self, collection: str, key: Key, document: Document | None) -> None:
        documents = self._shown.setdefault(collection, {})
        self._digests.pop((collection, key), None)
        if document is None:
            documents.pop(key, None)
        else:
            documents[key] = document

    def _digest(self, collection: str, key: Key, document: Document) -> bytes:
        digest = self._digests.get((collection, key))
        if digest is None:
            fields = {name: value for name, value in document.items() if name != "_id"}
            digest = self._digests[collection, key] = document_digest(fields)
        return digest


def _applied(before: Document | None, message: DataMessage) -> Document | None:
    if isinstance(message, Removed):
        return None
    is_new = before is None or (isinstance(message, Added) and message.replace)
    document: Document = {"_id": message.id} if is_new else dict(before or {})
    document.update(message.fields)
    if isinstance(message, Changed):
        for name in message.cleared:
            document.pop(name, None)
    document["_id"] = message.id
    return document


def is_same(before: Document | None, after: Document | None) -> bool:
    """Tell whether two versions of a document are equal; None is one that does not exist."""
    if before is None or after is None:
        return before is after
    return equals(before, after)


def _change(message: DataMessage, document: Document | None) -> DocumentChange:
    return DocumentChange(message.collection, message.id, document)


def _documents(collections: _Collections) -> Iterator[tuple[str, Key, Document]]:
    for name, documents in collections.items():
        for key, document in documents.items():
            yield name, key, document
