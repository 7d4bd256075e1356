"""The merge box: what one client is to see, made of what its subscriptions publish.

A document exists for a client while any *owner* holds it: a live query of one subscription, or a
publish function that adds documents itself. While a collection has one owner and that is a live
query, nothing is kept for it: the live query's result is the view. As soon as there is a second
one, each document of the collection has a view of its own. As long as one owner holds the
document, the view is a reference to that owner's fields, which all sessions share; from the second
owner on, each top-level field has a list of claims in the order of arrival, and the client sees the
first one. Follows Meteor's ddp-server, ``session_document_view`` and ``session_collection_view``,
message for message; see ``docs/design/sessions.md``.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, Protocol, TypeAlias

from bolide.core.ddp.digests import document_digest, view_digest
from bolide.core.ddp.ids import id_stringify
from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.core.errors import LocalProtocolError
from bolide.core.keys import Key, key_of
from bolide.core.values import UNDEFINED, Fields, equals
from bolide.server.logging.explained import Explained
from bolide.server.sessions.view.strategy import PublicationStrategy
from bolide.server.sessions.view.view_change import (
    DataMessage,
    ViewChange,
    changed_fields,
    changed_message,
)

__all__ = ["LiveView", "MergeBox", "NotAdded", "Owner", "Snapshot"]

Owner: TypeAlias = Hashable
"""Whatever publishes documents; compared by equality."""

_EMPTY: Final = view_digest({})

# Values of documents have no static type. UNDEFINED marks a field that is gone.
_Changes: TypeAlias = dict[str, Any]


class LiveView(Protocol):
    """The result of a live query, as its followers were told it; it changes with each change."""

    def fields(self, key: Key) -> Fields | None:
        """Return the fields of a document, None if it is not in the result."""
        ...

    def documents(self) -> Iterable[tuple[Key, Any, Fields]]:
        """Go through the result: key, ``_id``, fields."""
        ...

    def __len__(self) -> int: ...

    def document_digest(self, key: Key) -> bytes:
        """Return the digest of a document in the result, 16 bytes."""
        ...

    def digesting(self) -> Iterator[None]:
        """Make the digests of documents that have none; may be stopped after each."""
        ...

    def digest(self) -> bytes:
        """Return the digest of the whole result, 16 bytes."""
        ...


@dataclass(slots=True)
class _Claim:
    owner: Owner
    value: Any


class NotAdded(Explained, LocalProtocolError):
    """A publication changed or removed a document that its client does not hold."""

    code: ClassVar[str] = "not-added"

    def __init__(self, message: Changed | Removed) -> None:
        """Keep what was to be done.

        Args:
            message: What was to be told; nothing of it is kept, as even the name of a collection
                may be made of what a person sent.
        """
        self.done = "changed" if isinstance(message, Changed) else "removed"
        super().__init__(self.done)

    def __str__(self) -> str:
        """Say what is missing."""
        return (
            f"A publication {self.done} a document that no subscription of this client has added:"
            " call ctx.added first."
        )


class _View:
    """One document as one client sees it."""

    __slots__ = ("_claims", "_digest", "_fields", "_owners", "id")

    def __init__(self, id: Any, owner: Owner, fields: Fields) -> None:
        self.id = id
        self._owners: set[Owner] | None = None
        # While there is one owner: its fields, shared. Afterwards: claims by field.
        self._fields: tuple[Owner, Fields] | None = (owner, fields)
        self._claims: dict[str, list[_Claim]] = {}
        self._digest: bytes | None = None

    @property
    def has_digest(self) -> bool:
        """Its digest was made, and it did not change since."""
        return self._digest is not None

    def digest(self) -> bytes:
        """Return the digest of what the client sees, 16 bytes."""
        if self._digest is None:
            self._digest = document_digest(self.visible())
        return self._digest

    def visible(self) -> Fields:
        """Return the fields that the client sees."""
        if self._fields is not None:
            return self._fields[1]
        return {name: claims[0].value for name, claims in self._claims.items()}

    def has_part_of(self, owner: Owner) -> bool:
        """Tell whether an owner holds it, or at least changed what others hold."""
        if self._fields is not None:
            return owner == self._fields[0]
        return owner in self._merge() or any(
            claim.owner == owner for claims in self._claims.values() for claim in claims
        )

    def add(self, owner: Owner, fields: Fields) -> _Changes:
        """Let one more owner hold it; returns what the client does not see yet."""
        self._digest = None
        owners = self._merge()
        owners.add(owner)
        changes: _Changes = {}
        for name, value in fields.items():
            self._claim(owner, name, value, changes)
        return changes

    def change(self, owner: Owner, changes: Fields, after: Fields | None) -> _Changes:
        """Change one owner's fields; returns what that changes for the client."""
        self._digest = None
        if self._fields is not None and self._fields[0] == owner:
            return self._change_alone(owner, changes, after)
        self._merge()
        visible: _Changes = {}
        for name, value in changes.items():
            if value is UNDEFINED:
                self._clear(owner, name, visible)
            else:
                self._set(owner, name, value, visible)
        return visible

    def remove(self, owner: Owner) -> _Changes | None:
        """Take one owner off; returns what others' fields change, None if none is left."""
        self._digest = None
        if self._fields is not None:
            return None if self._fields[0] == owner else {}
        owners = self._merge()
        owners.discard(owner)
        if not owners:
            return None
        visible: _Changes = {}
        for name, claims in list(self._claims.items()):
            # A publish function that adds a document twice has two claims on its fields.
            left = [claim for claim in claims if claim.owner != owner]
            if not left:
                del self._claims[name]
                visible[name] = UNDEFINED
                continue
            self._claims[name] = left
            if not equals(claims[0].value, left[0].value):
                visible[name] = left[0].value
        return visible

    def _change_alone(self, owner: Owner, changes: Fields, after: Fields | None) -> _Changes:
        assert self._fields is not None
        before = self._fields[1]
        visible = {
            name: value
            for name, value in changes.items()
            if (name in before or value is not UNDEFINED)
            and not equals(before.get(name, UNDEFINED), value)
        }
        if after is None:
            merged = {**before, **changes}
            after = {name: value for name, value in merged.items() if value is not UNDEFINED}
        self._fields = (owner, after)
        return visible

    def _merge(self) -> set[Owner]:
        """Change from one owner's shared fields to claims."""
        if self._owners is None:
            assert self._fields is not None
            owner, fields = self._fields
            self._owners = {owner}
            self._claims = {name: [_Claim(owner, value)] for name, value in fields.items()}
            self._fields = None
        return self._owners

    def _claim(self, owner: Owner, name: str, value: Any, visible: _Changes) -> None:
        claims = self._claims.setdefault(name, [])
        claims.append(_Claim(owner, value))
        if len(claims) == 1:
            visible[name] = value

    def _set(self, owner: Owner, name: str, value: Any, visible: _Changes) -> None:
        claims = self._claims.get(name, [])
        own = next((claim for claim in claims if claim.owner == owner), None)
        if own is None:
            self._claim(owner, name, value, visible)
            return
        if own is claims[0] and not equals(own.value, value):
            visible[name] = value
        own.value = value

    def _clear(self, owner: Owner, name: str, visible: _Changes) -> None:
        claims = self._claims.get(name, [])
        own = next((claim for claim in claims if claim.owner == owner), None)
        if own is None:
            return
        was_visible = own is claims[0]
        claims.remove(own)
        if not claims:
            del self._claims[name]
            visible[name] = UNDEFINED
        elif was_visible and not equals(own.value, claims[0].value):
            visible[name] = claims[0].value


@dataclass(slots=True)
class _Collection:
    """What the merge box knows of one collection; which part is used depends on the strategy."""

    strategy: PublicationStrategy
    # SERVER_MERGE: who publishes here, in order of arrival; live queries with their result
    owners: dict[Owner, LiveView | None] = field(default_factory=dict[Owner, LiveView | None])
    # SERVER_MERGE: the only owner, whose result is the view; then there are no views
    sole: tuple[Owner, LiveView] | None = None
    views: dict[Key, _View] = field(default_factory=dict[Key, _View])
    # NO_MERGE_MULTI: which owners use a document
    users: dict[Key, set[Owner]] = field(default_factory=dict[Key, set[Owner]])
    # The strategies without views: owner -> key -> _id, what is to be taken back when it stops
    held: dict[Owner, dict[Key, Any]] = field(default_factory=dict[Owner, dict[Key, Any]])


Snapshot: TypeAlias = dict[str, dict[Key, tuple[Any, Fields]]]
"""Visible documents: collection -> key -> (``_id``, fields)."""


class MergeBox:
    """What one client is to see.

    Every call returns the message the client is to be sent; a message that is the given
    change's own is *unaltered*, and its shared packet may be sent.

    Args:
        strategy_of: The publication strategy of a collection, by name.
    """

    __slots__ = ("_collections", "_strategy_of")

    def __init__(self, strategy_of: Callable[[str], PublicationStrategy]) -> None:
        """Begin with an empty view."""
        self._strategy_of = strategy_of
        self._collections: dict[str, _Collection] = {}

    # Live queries

    def join(self, owner: Owner, collection: str, view: LiveView) -> bool:
        """Let a live query publish its result.

        Returns:
            Whether its result is the whole view now; if not, :meth:`apply` each document.
        """
        found = self._collection(collection)
        if found.strategy is not PublicationStrategy.SERVER_MERGE:
            return False
        is_alone = not found.owners
        found.owners[owner] = view
        if is_alone:
            found.sole = (owner, view)
        return is_alone

    def sole_owner(self, collection: str) -> Owner | None:
        """Return the live query whose result is the whole view of a collection, if there is one."""
        found = self._collections.get(collection)
        return None if found is None or found.sole is None else found.sole[0]

    def sole_owners(self) -> list[Owner]:
        """Return all live queries whose result is the whole view of their collection."""
        return [c.sole[0] for c in self._collections.values() if c.sole is not None]

    def merge(self, collection: str) -> None:
        """Give each document a view of its own, so that a second owner can publish."""
        found = self._collection(collection)
        if found.sole is not None:
            owner, view = found.sole
            found.sole = None
            found.views = {key: _View(id, owner, fields) for key, id, fields in view.documents()}

    def merge_without(self, collection: str, changes: Sequence[ViewChange]) -> None:
        """Do as :meth:`merge`, without the last changes of the sole owner's result."""
        self.merge(collection)
        found = self._collection(collection)
        for change in reversed(changes):
            id = change.message.id
            if isinstance(change.message, Added):
                found.views.pop(key_of(id), None)
            else:
                (owner,) = found.owners
                found.views[key_of(id)] = _View(id, owner, change.before)

    def lone_owner(self, collection: str) -> Owner | None:
        """Return the only owner of a collection, if it is a live query and not the view itself."""
        found = self._collections.get(collection)
        if found is None or found.sole is not None or len(found.owners) != 1:
            return None
        [(owner, view)] = found.owners.items()
        return None if view is None else owner

    def unmerge(self, collection: str) -> None:
        """Let the result of the lone owner be the view again; it has told all its changes."""
        found = self._collection(collection)
        [(owner, view)] = found.owners.items()
        assert view is not None
        found.views.clear()
        found.sole = (owner, view)

    # Documents

    def apply(self, owner: Owner, change: ViewChange) -> DataMessage | None:
        """Apply one change of what an owner publishes.

        Args:
            owner: Who publishes it.
            change: With values that are never changed afterwards.

        Returns:
            The message to send, None if the client sees no difference.

        Raises:
            LocalProtocolError: If a document is changed or removed that is not in the view.
        """
        message = change.message
        collection = self._collection(message.collection)
        if collection.sole is not None:
            if collection.sole[0] == owner:
                return message
            self.merge(message.collection)
        match message:
            case Added():
                return self._added(collection, owner, message, change.fields)
            case Changed():
                changes = {**message.fields, **dict.fromkeys(message.cleared, UNDEFINED)}
                return self._changed(collection, owner, message, changes, change.fields)
            case Removed():
                return self._removed(collection, owner, message)

    def changed(
        self, owner: Owner, collection: str, id: Any, changes: Fields
    ) -> DataMessage | None:
        """Change some fields, without knowing the others; UNDEFINED clears one."""
        message = changed_message(collection, id, changes)
        self.merge(collection)
        return self._changed(self._collection(collection), owner, message, changes, None)

    def visible(self, collection: str, key: Key) -> Fields | None:
        """Return the fields of a document that the client is to see; None if it is not there."""
        found = self._collections.get(collection)
        if found is None:
            return None
        if found.sole is not None:
            return found.sole[1].fields(key)
        view = found.views.get(key)
        return None if view is None else view.visible()

    def collections_of(self, owner: Owner) -> list[str]:
        """List the collections in which an owner publishes."""
        return [name for name, c in self._collections.items() if owner in c.owners | c.held]

    def leave(self, owner: Owner, collection: str) -> Iterator[tuple[DataMessage, Fields]]:
        """Take back what an owner published in a collection.

        Yields:
            The message to send, and the fields that the client was to see before it.
        """
        found = self._collection(collection)
        if found.sole is not None and found.sole[0] == owner:
            documents = list(found.sole[1].documents())
            found.sole = None
            del found.owners[owner]
            yield from ((Removed(collection, id), fields) for _, id, fields in documents)
            return
        for id in self._held(found, owner):
            before = self.visible(collection, key_of(id)) or {}
            message = self._removed(found, owner, Removed(collection, id))
            if message is not None:
                yield message, before
        found.owners.pop(owner, None)
        found.held.pop(owner, None)

    def stop(self, owner: Owner) -> Iterator[DataMessage]:
        """Take back everything that an owner published."""
        for name in self.collections_of(owner):
            yield from (message for message, _ in self.leave(owner, name))

    def snapshot(self) -> Snapshot:
        """Return the merged documents as the client is to see them now."""
        return {
            name: documents
            for name, collection in self._collections.items()
            if (documents := _documents(collection))
        }

    def names(self) -> set[str]:
        """Return the collections of which the client is to see something, as far as is kept."""
        return {
            name
            for name, c in self._collections.items()
            if c.views or (c.sole is not None and len(c.sole[1]))
        }

    def documents(self, collection: str) -> dict[Key, tuple[Any, Fields]]:
        """Return the documents of a collection that the client is to see: key, ``_id``, fields."""
        found = self._collections.get(collection)
        return {} if found is None else _documents(found)

    def digest(self, collection: str) -> bytes:
        """Return the digest of what the client is to see of a collection, 16 bytes."""
        found = self._collections.get(collection)
        if found is None:  # nothing is kept of it: clients ask for any name
            return _EMPTY
        if found.sole is not None:
            return found.sole[1].digest()
        return view_digest({id_stringify(view.id): view.digest() for view in found.views.values()})

    def document_digest(self, collection: str, key: Key) -> bytes:
        """Return the digest of a document that the client is to see, 16 bytes."""
        found = self._collection(collection)
        if found.sole is not None:
            return found.sole[1].document_digest(key)
        return found.views[key].digest()

    def digesting(self, collections: Iterable[str]) -> Iterator[None]:
        """Make the digests of documents that have none; may be stopped after each.

        Args:
            collections: Where; those that nobody published are left.
        """
        for name in collections:
            found = self._collections.get(name)
            if found is None:
                continue
            if found.sole is not None:
                yield from found.sole[1].digesting()
                continue
            for key in tuple(found.views):
                view = found.views.get(key)
                if view is not None and not view.has_digest:
                    view.digest()
                    yield

    def forget_merged(self) -> list[DataMessage]:
        """Begin anew, for another user.

        Merged views are forgotten without a word, to be compared with :meth:`difference` later.
        Strategies that keep no view cannot be compared: their documents are removed now.
        """
        removed: list[DataMessage] = []
        for name, collection in self._collections.items():
            for owner in list(collection.held):
                removed.extend(message for message, _ in self.leave(owner, name))
        self._collections.clear()
        return removed

    def difference(self, before: Snapshot) -> Iterator[tuple[DataMessage, Fields]]:
        """Return what leads from an earlier view to the present one.

        Yields:
            The message to send, and the fields that the client saw before it.
        """
        now = self.snapshot()
        for name in {**before, **now}:
            old, new = before.get(name, {}), now.get(name, {})
            for key, (id, fields) in old.items():
                if key not in new:
                    yield Removed(name, id), fields
            for key, (id, fields) in new.items():
                if key not in old:
                    yield Added(name, id, fields), {}
                elif changes := changed_fields(old[key][1], fields):
                    yield changed_message(name, id, changes), old[key][1]

    def is_merged(self, collection: str) -> bool:
        """Tell whether views of this collection are kept, so that they can be compared."""
        return self._collection(collection).strategy is PublicationStrategy.SERVER_MERGE

    @property
    def document_count(self) -> int:
        """How many documents the client holds, as far as the strategies know."""
        return sum(
            len(c.views) + len(c.users) + (0 if c.sole is None else len(c.sole[1]))
            for c in self._collections.values()
        )

    def _collection(self, name: str) -> _Collection:
        collection = self._collections.get(name)
        if collection is None:
            collection = self._collections[name] = _Collection(self._strategy_of(name))
        return collection

    def _held(self, collection: _Collection, owner: Owner) -> list[Any]:
        """List the ids of the documents that an owner published, or changed."""
        if collection.strategy is PublicationStrategy.SERVER_MERGE:
            return [view.id for view in collection.views.values() if view.has_part_of(owner)]
        return list(collection.held.get(owner, {}).values())

    def _added(
        self, collection: _Collection, owner: Owner, message: Added, fields: Fields
    ) -> DataMessage | None:
        key = key_of(message.id)
        if collection.strategy is PublicationStrategy.SERVER_MERGE:
            collection.owners.setdefault(owner, None)
            view = collection.views.get(key)
            if view is None:
                collection.views[key] = _View(message.id, owner, fields)
                return message
            return _altered(message, view.add(owner, fields))
        if collection.strategy is not PublicationStrategy.NO_MERGE_NO_HISTORY:
            collection.held.setdefault(owner, {})[key] = message.id
        if collection.strategy is PublicationStrategy.NO_MERGE_MULTI:
            users = collection.users.get(key)
            if users is not None:
                users.add(owner)
                return _altered(message, dict(message.fields))
            collection.users[key] = {owner}
        return message

    def _changed(
        self,
        collection: _Collection,
        owner: Owner,
        message: Changed,
        changes: Fields,
        after: Fields | None,
    ) -> DataMessage | None:
        key = key_of(message.id)
        match collection.strategy:
            case PublicationStrategy.SERVER_MERGE:
                view = collection.views.get(key)
                if view is None:
                    raise NotAdded(message)
                # It need not have added the document itself; what it says leaves with it.
                collection.owners.setdefault(owner, None)
                visible = view.change(owner, changes, after)
                if visible and _is_same(visible, changes):
                    return message
                return _altered(message, visible)
            case PublicationStrategy.NO_MERGE_MULTI:
                if key not in collection.users:
                    raise NotAdded(message)
            case _:
                pass
        return message if changes else None

    def _removed(
        self, collection: _Collection, owner: Owner, message: Removed
    ) -> DataMessage | None:
        key = key_of(message.id)
        held = collection.held.get(owner)
        if held is not None:
            held.pop(key, None)
        match collection.strategy:
            case PublicationStrategy.SERVER_MERGE:
                view = collection.views.get(key)
                if view is None:
                    raise NotAdded(message)
                visible = view.remove(owner)
                if visible is not None:
                    return _altered(message, visible)
                del collection.views[key]
            case PublicationStrategy.NO_MERGE_MULTI:
                users = collection.users.get(key)
                if users is None:
                    raise NotAdded(message)
                users.discard(owner)
                if users:
                    return None
                del collection.users[key]
            case _:
                pass
        return message


def _documents(collection: _Collection) -> dict[Key, tuple[Any, Fields]]:
    if collection.sole is not None:
        return {key: (id, fields) for key, id, fields in collection.sole[1].documents()}
    return {key: (view.id, view.visible()) for key, view in collection.views.items()}


def _is_same(visible: Fields, changes: Fields) -> bool:
    return len(visible) == len(changes) and all(
        visible.get(name) is value for name, value in changes.items()
    )


def _altered(message: DataMessage, visible: Fields) -> DataMessage | None:
    """Return the message of what changes for the client; None if nothing does."""
    return changed_message(message.collection, message.id, visible) if visible else None
