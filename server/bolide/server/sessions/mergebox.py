"""The merge box: what one client was sent, made of what its subscriptions publish.

A document exists for a client while any of its subscriptions holds it. As long as that is one
subscription, the view is a reference to that publication's own fields, which all sessions share.
From the second subscription on, each top-level field has a list of claims in the order of arrival;
the client sees the first one. Follows Meteor's ddp-server, ``session_document_view`` and
``session_collection_view``, message for message; see ``docs/design/sessions.md``.
"""

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.core.errors import LocalProtocolError
from bolide.core.keys import Key, key_of
from bolide.core.values import UNDEFINED, Fields, equals
from bolide.server.sessions.strategy import PublicationStrategy
from bolide.server.sessions.view_change import DataMessage, ViewChange, changed_fields

__all__ = ["MergeBox", "Owner", "Snapshot"]

Owner: TypeAlias = Hashable
"""Whatever stands for a subscription; compared by equality."""

# Values of documents have no static type. UNDEFINED marks a field that is gone.
_Changes: TypeAlias = dict[str, Any]


@dataclass(slots=True)
class _Claim:
    owner: Owner
    value: Any


class _View:
    """One document as one client sees it."""

    __slots__ = ("_claims", "_fields", "_owners", "id")

    def __init__(self, id: Any, owner: Owner, fields: Fields) -> None:
        self.id = id
        self._owners: set[Owner] | None = None
        # While there is one owner: its fields, shared. Afterwards: claims by field.
        self._fields: tuple[Owner, Fields] | None = (owner, fields)
        self._claims: dict[str, list[_Claim]] = {}

    def visible(self) -> Fields:
        """Return the fields that the client sees."""
        if self._fields is not None:
            return self._fields[1]
        return {name: claims[0].value for name, claims in self._claims.items()}

    def add(self, owner: Owner, fields: Fields) -> _Changes:
        """Let one more subscription hold it; returns what the client does not see yet."""
        owners = self._merge()
        owners.add(owner)
        changes: _Changes = {}
        for name, value in fields.items():
            self._claim(owner, name, value, changes)
        return changes

    def change(self, owner: Owner, changes: Fields, after: Fields | None) -> _Changes:
        """Change one subscription's fields; returns what that changes for the client."""
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
        """Take one subscription off; returns what others' fields change, None if none is left."""
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
    # SERVER_MERGE
    views: dict[Key, _View] = field(default_factory=dict[Key, _View])
    # NO_MERGE_MULTI: which subscriptions use a document
    users: dict[Key, set[Owner]] = field(default_factory=dict[Key, set[Owner]])


Snapshot: TypeAlias = dict[str, dict[Key, tuple[Any, Fields]]]
"""Visible documents: collection -> key -> (``_id``, fields)."""


class MergeBox:
    """What one client holds.

    Every call returns the messages the client is to be sent; a message that is the given
    change's own is *unaltered*, and its shared text may be sent.

    Args:
        strategy_of: The publication strategy of a collection, by name.
    """

    __slots__ = ("_collections", "_held", "_strategy_of")

    def __init__(self, strategy_of: Callable[[str], PublicationStrategy]) -> None:
        """Begin with an empty view."""
        self._strategy_of = strategy_of
        self._collections: dict[str, _Collection] = {}
        # owner -> collection -> key -> _id: what is to be taken back when it stops
        self._held: dict[Owner, dict[str, dict[Key, Any]]] = {}

    def apply(self, owner: Owner, change: ViewChange) -> DataMessage | None:
        """Apply one change of what a subscription publishes.

        Args:
            owner: The subscription.
            change: With values that are never changed afterwards.

        Returns:
            The message to send, None if the client sees no difference.

        Raises:
            LocalProtocolError: If a document is changed or removed that is not in the view.
        """
        message = change.message
        match message:
            case Added():
                return self._added(owner, message, change)
            case Changed():
                changes = {**message.fields, **dict.fromkeys(message.cleared, UNDEFINED)}
                return self._changed(owner, message, changes, change.fields)
            case Removed():
                return self._removed(owner, message)

    def changed(
        self, owner: Owner, collection: str, id: Any, changes: Fields
    ) -> DataMessage | None:
        """Change some fields, without knowing the others; UNDEFINED clears one."""
        message = ViewChange.changed(collection, id, changes, {}).message
        assert isinstance(message, Changed)
        return self._changed(owner, message, changes, None)

    def stop(self, owner: Owner) -> Iterator[DataMessage]:
        """Take back everything that a subscription published."""
        held = self._held.pop(owner, {})
        for name, documents in held.items():
            for id in documents.values():
                message = self._taken_back(owner, Removed(name, id))
                if message is not None:
                    yield message

    def snapshot(self) -> Snapshot:
        """Return the merged documents as the client sees them now."""
        return {
            name: {key: (view.id, view.visible()) for key, view in collection.views.items()}
            for name, collection in self._collections.items()
            if collection.views
        }

    def forget_merged(self) -> list[DataMessage]:
        """Begin anew, for another user.

        Merged views are forgotten without a word, to be compared with :meth:`difference` later.
        Strategies that keep no view cannot be compared: their documents are removed now.
        """
        removed: list[DataMessage] = []
        for owner in list(self._held):
            merged = [
                name
                for name in self._held[owner]
                if self._collection(name).strategy is PublicationStrategy.SERVER_MERGE
            ]
            for name in merged:
                del self._held[owner][name]
            removed.extend(self.stop(owner))
        self._collections.clear()
        return removed

    def difference(self, before: Snapshot) -> Iterator[DataMessage]:
        """Return what leads from an earlier view to the present one."""
        now = self.snapshot()
        for name in {**before, **now}:
            old, new = before.get(name, {}), now.get(name, {})
            yield from (Removed(name, id) for key, (id, _) in old.items() if key not in new)
            for key, (id, fields) in new.items():
                if key not in old:
                    yield Added(name, id, fields)
                elif changes := changed_fields(old[key][1], fields):
                    yield ViewChange.changed(name, id, changes, fields).message

    def is_merged(self, collection: str) -> bool:
        """Tell whether views of this collection are kept, so that they can be compared."""
        return self._collection(collection).strategy is PublicationStrategy.SERVER_MERGE

    @property
    def document_count(self) -> int:
        """How many documents the client holds, as far as the strategies know."""
        return sum(len(c.views) + len(c.users) for c in self._collections.values())

    def _collection(self, name: str) -> _Collection:
        collection = self._collections.get(name)
        if collection is None:
            collection = self._collections[name] = _Collection(self._strategy_of(name))
        return collection

    def _added(self, owner: Owner, message: Added, change: ViewChange) -> DataMessage | None:
        collection = self._collection(message.collection)
        key = key_of(message.id)
        if collection.strategy is not PublicationStrategy.NO_MERGE_NO_HISTORY:
            held = self._held.setdefault(owner, {}).setdefault(message.collection, {})
            held[key] = message.id
        match collection.strategy:
            case PublicationStrategy.SERVER_MERGE:
                view = collection.views.get(key)
                if view is None:
                    collection.views[key] = _View(message.id, owner, change.fields)
                    return message
                return _changed_message(message, view.add(owner, change.fields))
            case PublicationStrategy.NO_MERGE_MULTI:
                users = collection.users.get(key)
                if users is None:
                    collection.users[key] = {owner}
                    return message
                users.add(owner)
                return _changed_message(message, dict(message.fields))
            case _:
                return message

    def _changed(
        self, owner: Owner, message: Changed, changes: Fields, after: Fields | None
    ) -> DataMessage | None:
        collection = self._collection(message.collection)
        key = key_of(message.id)
        match collection.strategy:
            case PublicationStrategy.SERVER_MERGE:
                view = collection.views.get(key)
                if view is None:
                    raise LocalProtocolError("A document was changed that was never added.")
                visible = view.change(owner, changes, after)
                if len(visible) == len(changes) and visible:
                    return message if _is_same(visible, changes) else _altered(message, visible)
                return _altered(message, visible) if visible else None
            case PublicationStrategy.NO_MERGE_MULTI:
                if key not in collection.users:
                    raise LocalProtocolError("A document was changed that was never added.")
            case _:
                pass
        return message if changes else None

    def _removed(self, owner: Owner, message: Removed) -> DataMessage | None:
        key = key_of(message.id)
        held = self._held.get(owner, {}).get(message.collection)
        if held is not None:
            held.pop(key, None)
        return self._taken_back(owner, message)

    def _taken_back(self, owner: Owner, message: Removed) -> DataMessage | None:
        collection = self._collection(message.collection)
        key = key_of(message.id)
        match collection.strategy:
            case PublicationStrategy.SERVER_MERGE:
                view = collection.views.get(key)
                if view is None:
                    raise LocalProtocolError("A document was removed that was never added.")
                visible = view.remove(owner)
                if visible is not None:
                    return _changed_message(message, visible)
                del collection.views[key]
            case PublicationStrategy.NO_MERGE_MULTI:
                users = collection.users.get(key)
                if users is None:
                    raise LocalProtocolError("A document was removed that was never added.")
                users.discard(owner)
                if users:
                    return None
                del collection.users[key]
            case _:
                pass
        return message


def _is_same(visible: Fields, changes: Fields) -> bool:
    return all(visible.get(name) is value for name, value in changes.items())


def _altered(message: Changed, visible: Fields) -> Changed:
    altered = ViewChange.changed(message.collection, message.id, visible, {}).message
    assert isinstance(altered, Changed)
    return altered


def _changed_message(message: Added | Removed, visible: Fields) -> DataMessage | None:
    if not visible:
        return None
    return ViewChange.changed(message.collection, message.id, visible, {}).message
