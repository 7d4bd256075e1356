"""The outbox: what a client is still to be sent, whatever happens until then.

Documents and messages wait differently. Of a document only its key waits, with the names of the
fields that differ from what the client last saw; what is sent is the state at the time of sending.
So a document that changes a thousand times while a client does not read costs what one change
costs. Messages (``result``, ``updated``, ``ready``, ``nosub``) are never dropped nor merged; each
is a barrier: documents that waited before it are sent before it. Documents that come to wait
later belong to the next generation, so a collection that changes all the time holds up no message::

    generation 1:  documents a, b, c   then  result 5, updated 5
    generation 2:  documents d, e      then  ready 7
    generation 3:  documents f                              (open)

A document waits in one generation only, the first. One that comes and goes before the client hears
of it waits no longer, so what is never read takes no room for long.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Any, Final, TypeAlias

from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.core.keys import Key, key_of
from bolide.core.values import UNDEFINED, Fields
from bolide.server.sessions.transport import Wire
from bolide.server.sessions.view.view_change import DataMessage, ViewChange, changed_message

__all__ = ["Outbox", "Visible"]

Visible: TypeAlias = Callable[[str, Key], Fields | None]
"""Returns the fields of a document that the client is to see now, by collection and key."""

_Place: TypeAlias = tuple[str, Key]


_MOST_PASSED: Final = 64


class _Dirty:
    """A document that waits.

    Attributes:
        id: Its ``_id``.
        is_known: The client holds it.
        names: Name of each field that may differ -> the client holds that field; of a document
            that it holds.
        shared: The only change since then, if the client is to be sent just that.
        is_replaced: The client holds a version that nobody here knows.
    """

    __slots__ = ("id", "is_known", "is_replaced", "names", "shared")

    def __init__(self, id: Any, is_known: bool, shared: ViewChange | None) -> None:
        self.id = id
        self.is_known = is_known
        self.is_replaced = False
        self.names: dict[str, bool] | None = None
        self.shared = shared


class _Generation:
    """Documents that wait together, and the messages after them."""

    __slots__ = ("messages", "places", "taken")

    def __init__(self) -> None:
        self.places: list[_Place] = []
        # How many of the places are done; a list cut at its front is copied each time.
        self.taken = 0
        self.messages: list[bytes] = []


class Outbox:
    """What waits to be sent to one client.

    Attributes:
        generations: What waits, in order; empty if nothing does.
        message_bytes: Size of the messages that wait, documents not counted.
    """

    __slots__ = ("_dirty", "_passed", "generations", "message_bytes")

    def __init__(self) -> None:
        """Begin with nothing."""
        self.generations: list[_Generation] = []
        # A change stands for a document that the client does not hold and is to be sent as added.
        self._dirty: dict[_Place, _Dirty | ViewChange] = {}
        # About how many places in the generations are of documents that do not wait any more.
        self._passed = 0
        self.message_bytes = 0

    def __bool__(self) -> bool:
        return bool(self.generations)

    @property
    def document_count(self) -> int:
        """How many documents wait."""
        return len(self._dirty)

    def has_documents_of(self, collection: str) -> bool:
        """Tell whether any document of a collection waits."""
        return any(name == collection for name, _ in self._dirty)

    def note(self, message: DataMessage, before: Fields, shared: ViewChange | None) -> None:
        """Let a document wait.

        Args:
            message: What changes for the client.
            before: The fields that the client was to see until now.
            shared: The change, if ``message`` is its own; kept until it is sent.
        """
        place = (message.collection, key_of(message.id))
        dirty = self._dirty.get(place)
        if isinstance(message, Removed) and dirty is not None and not _is_known(dirty):
            del self._dirty[place]
            self._passed += 1
            if self._passed > len(self._dirty) + _MOST_PASSED:
                self._forget_passed()
            return
        if isinstance(dirty, ViewChange):
            dirty = self._dirty[place] = _Dirty(message.id, False, None)
        if dirty is None:
            is_known = not isinstance(message, Added)
            dirty = self._dirty[place] = _Dirty(message.id, is_known, shared)
            self._open().places.append(place)
            if shared is not None:
                return
        elif dirty.shared is not None:
            _spread(dirty, dirty.shared.message, dirty.shared.before)
            dirty.shared = None
        _spread(dirty, message, before)

    def note_all(self, added: Sequence[ViewChange]) -> None:
        """Let documents wait that neither wait nor are held by the client; there may be many.

        Args:
            added: Their changes, kept until they are sent.
        """
        if not added:
            return
        places = [(change.message.collection, key_of(change.message.id)) for change in added]
        self._dirty.update(zip(places, added, strict=True))
        self._open().places.extend(places)

    def replace(self, collection: str, id: Any) -> None:
        """Let a document wait of which the client holds an unknown version."""
        place = (collection, key_of(id))
        if place not in self._dirty:
            self._open().places.append(place)
        dirty = self._dirty[place] = _Dirty(id, True, None)
        dirty.is_replaced = True

    def settle(self) -> None:
        """Keep names instead of changes, because what waits may wait for long."""
        for place, dirty in self._dirty.items():
            if isinstance(dirty, ViewChange):
                # No key is new, so the dict may be gone through.
                self._dirty[place] = _Dirty(dirty.message.id, False, None)
            elif dirty.shared is not None:
                _spread(dirty, dirty.shared.message, dirty.shared.before)
                dirty.shared = None

    def message(self, packet: bytes) -> None:
        """Let a message wait, after all documents that wait now."""
        generation = self.generations[-1] if self.generations else self._open()
        generation.messages.append(packet)
        self.message_bytes += len(packet)

    def take(self, visible: Visible, wire: Wire, max_bytes: int) -> list[bytes]:
        """Take what is to be sent next.

        Args:
            visible: The state of documents now.
            wire: How packets are made.
            max_bytes: Stop after so many; at least one document or message is taken.

        Returns:
            Packets in order. May be empty although something waited, because nothing differs.
        """
        packets: list[bytes] = []
        size = 0
        for done, generation in enumerate(self.generations):
            places = generation.places
            while generation.taken < len(places):
                if size >= max_bytes:
                    del self.generations[:done]
                    return packets
                place = places[generation.taken]
                generation.taken += 1
                dirty = self._dirty.pop(place, None)
                packet = None if dirty is None else _packet(place, dirty, visible, wire)
                if packet is not None:
                    packets.append(packet)
                    size += len(packet)
            taken = 0
            for packet in generation.messages:
                if size >= max_bytes:
                    break
                packets.append(packet)
                size += len(packet)
                self.message_bytes -= len(packet)
                taken += 1
            if taken < len(generation.messages):
                generation.messages = list(islice(generation.messages, taken, None))
                del self.generations[:done]
                return packets
        # New ones, because an emptied dict keeps the size that it had.
        self.generations, self._dirty = [], {}
        self._passed = 0
        return packets

    def forget_documents(self) -> None:
        """Forget the documents; the messages still wait."""
        self._dirty.clear()
        for generation in self.generations:
            generation.places.clear()
            generation.taken = 0

    def clear(self) -> None:
        """Forget everything."""
        self.generations.clear()
        self._dirty.clear()
        self.message_bytes = 0

    def _forget_passed(self) -> None:
        """Forget the places of documents that do not wait any more."""
        self._passed = 0
        seen: set[_Place] = set()
        for generation in self.generations:
            left = islice(generation.places, generation.taken, None)
            waiting = [place for place in dict.fromkeys(left) if place in self._dirty]
            generation.places = [place for place in waiting if place not in seen]
            generation.taken = 0
            seen.update(waiting)

    def _open(self) -> _Generation:
        """Return the generation that documents join now."""
        if not self.generations or self.generations[-1].messages:
            self.generations.append(_Generation())
        return self.generations[-1]


def _is_known(dirty: _Dirty | ViewChange) -> bool:
    """Tell whether the client holds a document that waits."""
    return isinstance(dirty, _Dirty) and dirty.is_known


def _spread(dirty: _Dirty, message: DataMessage, before: Fields) -> None:
    """Remember which fields a change concerns."""
    if not dirty.is_known:
        return
    if dirty.names is None:
        dirty.names = {}
    names = dirty.names
    match message:
        case Added():
            for name in message.fields:
                names.setdefault(name, False)
        case Changed():
            for name in (*message.fields, *message.cleared):
                names.setdefault(name, name in before)
        case Removed():
            for name in before:
                names.setdefault(name, True)


def _packet(
    place: _Place, dirty: _Dirty | ViewChange, visible: Visible, wire: Wire
) -> bytes | None:
    """Return what the client is sent of a document; None if it sees no difference."""
    if isinstance(dirty, ViewChange):
        return dirty.packet(wire)
    if dirty.shared is not None:
        return dirty.shared.packet(wire)
    collection, key = place
    now = visible(collection, key)
    if now is None:
        return wire.packet(Removed(collection, dirty.id)) if dirty.is_known else None
    if not dirty.is_known or dirty.is_replaced:
        return wire.packet(Added(collection, dirty.id, now, replace=dirty.is_replaced))
    changes = {
        name: now.get(name, UNDEFINED)
        for name, was_held in (dirty.names or {}).items()
        if was_held or name in now
    }
    return wire.packet(changed_message(collection, dirty.id, changes)) if changes else None
