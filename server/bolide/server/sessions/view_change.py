"""One change of a view, encoded once for all sessions that pass it on unaltered."""

from collections.abc import Mapping
from typing import Any, TypeAlias

from bolide.core.ddp.codec import serialize
from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.core.values import UNDEFINED, Fields, equals

__all__ = ["DataMessage", "ViewChange", "changed_fields"]

DataMessage: TypeAlias = Added | Changed | Removed
"""The three messages that carry documents."""


class ViewChange:
    """A data message, the document after it, and its JSON text once somebody needed it.

    Attributes:
        message: What a client without other subscriptions on the document is to be sent.
        fields: All fields after the change; shared, never to be changed; empty for ``Removed``.
    """

    __slots__ = ("_frames", "fields", "message")

    def __init__(self, message: DataMessage, fields: Fields) -> None:
        """Wrap a message that many sessions may share."""
        self.message = message
        self.fields = fields
        self._frames: dict[bool, str] = {}

    @classmethod
    def added(cls, collection: str, id: Any, fields: Fields) -> "ViewChange":
        """Make the change of a document that enters a view.

        Args:
            collection: Name of the collection.
            id: Its ``_id``.
            fields: All its fields, without ``_id`` and UNDEFINED.
        """
        return cls(Added(collection, id, fields), fields)

    @classmethod
    def changed(
        cls, collection: str, id: Any, changes: Mapping[str, Any], fields: Fields
    ) -> "ViewChange":
        """Make the change of a document that stays in a view.

        Args:
            collection: Name of the collection.
            id: Its ``_id``.
            changes: New values of top-level fields; UNDEFINED for one that is gone.
            fields: All fields after the change.
        """
        new = {name: value for name, value in changes.items() if value is not UNDEFINED}
        cleared = tuple(name for name, value in changes.items() if value is UNDEFINED)
        return cls(Changed(collection, id, new, cleared), fields)

    @classmethod
    def removed(cls, collection: str, id: Any) -> "ViewChange":
        """Make the change of a document that leaves a view."""
        return cls(Removed(collection, id), {})

    def frame(self, *, bolide: bool) -> str:
        """Return the message's JSON text.

        Args:
            bolide: The session negotiated our extensions, so it knows our value types.
        """
        frame = self._frames.get(bolide)
        if frame is None:
            frame = self._frames[bolide] = serialize(self.message, bolide=bolide)
        return frame


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
