"""One change of a view, written once for all sessions that pass it on unaltered."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.core.values import UNDEFINED, Fields, equals
from bolide.server.sessions.transport import Wire

__all__ = ["DataMessage", "ViewChange", "changed_fields", "changed_message"]

DataMessage: TypeAlias = Added | Changed | Removed
"""The three messages that carry documents."""

_NONE: Fields = {}


class ViewChange:
    """A data message, the document before and after it, and its packets once somebody needed them.

    Attributes:
        message: What a client without other subscriptions on the document is to be sent.
        before: All fields before the change; shared, never to be changed; empty for ``Added``.
        fields: All fields after the change; shared, never to be changed; empty for ``Removed``.
    """

    __slots__ = ("_packets", "before", "fields", "message")

    def __init__(self, message: DataMessage, before: Fields, fields: Fields) -> None:
        """Wrap a message that many sessions may share."""
        self.message = message
        self.before = before
        self.fields = fields
        self._packets: dict[Wire, bytes] = {}

    @classmethod
    def added(cls, collection: str, id: Any, fields: Fields) -> "ViewChange":
        """Make the change of a document that enters a view.

        Args:
            collection: Name of the collection.
            id: Its ``_id``.
            fields: All its fields, without ``_id`` and UNDEFINED.
        """
        return cls(Added(collection, id, fields), _NONE, fields)

    @classmethod
    def changed(
        cls, collection: str, id: Any, changes: Mapping[str, Any], before: Fields, fields: Fields
    ) -> "ViewChange":
        """Make the change of a document that stays in a view.

        Args:
            collection: Name of the collection.
            id: Its ``_id``.
            changes: New values of top-level fields; UNDEFINED for one that is gone.
            before: All fields before the change.
            fields: All fields after the change.
        """
        return cls(changed_message(collection, id, changes), before, fields)

    @classmethod
    def removed(cls, collection: str, id: Any, before: Fields) -> "ViewChange":
        """Make the change of a document that leaves a view.

        Args:
            collection: Name of the collection.
            id: Its ``_id``.
            before: All its fields until now.
        """
        return cls(Removed(collection, id), before, _NONE)

    def packet(self, wire: Wire) -> bytes:
        """Return what is written to a socket.

        Raises:
            EJSONError: If a value cannot be sent.
        """
        packet = self._packets.get(wire)
        if packet is None:
            packet = self._packets[wire] = wire.packet(self.message)
        return packet


def changed_message(collection: str, id: Any, changes: Mapping[str, Any]) -> Changed:
    """Make the message of changed fields; UNDEFINED clears one."""
    new = {name: value for name, value in changes.items() if value is not UNDEFINED}
    cleared = tuple(name for name, value in changes.items() if value is UNDEFINED)
    return Changed(collection, id, new, cleared)


def changed_fields(old: Fields, new: Fields) -> dict[str, Any]:
    """Return what leads from one state of a document to another; UNDEFINED clears a field.

    Args:
        old: All fields before, without ``_id``.
        new: All fields after.
    """
    changes = {
        name: value
        for name, value in new.items()
        if name not in old or (old[name] is not value and not equals(old[name], value))
    }
    changes.update({name: UNDEFINED for name in old if name not in new})
    return changes
