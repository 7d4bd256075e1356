"""The client's view: what it is to see, what it was told, and what waits in between.

The merge box says what the client is to see, the outbox what it was not told yet. Three things may
stand between a change and the socket::

    full    the socket takes nothing now: what changed waits in the outbox until it drains
    paused  another user logs in, or the client resyncs: whole views are compared at the end
    busy    something else waits: shared packets of live queries must not overtake it

While none of them holds, the *gate* is open, and a live query that is the only owner of its
collection writes its shared packets straight to the socket.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Final

from bolide.core.ddp.ids import id_parse, id_stringify
from bolide.core.ddp.messages import Added, Changed, ServerMessage, Void
from bolide.core.errors import EJSONError
from bolide.core.keys import Key, key_of
from bolide.core.values import Fields
from bolide.server.sessions.transport import Wire
from bolide.server.sessions.view.mergebox import MergeBox, Owner, Snapshot
from bolide.server.sessions.view.outbox import Outbox
from bolide.server.sessions.view.source import Gate, Source
from bolide.server.sessions.view.strategy import PublicationStrategy
from bolide.server.sessions.view.view_change import DataMessage, ViewChange

__all__ = ["DIGESTS_AT_ONCE", "ClientView"]

DIGESTS_AT_ONCE: Final = 250
"""Most documents whose digests are made without a look at anything else; about 5 ms."""

# Messages that need not be put in order: as many bytes together as one write may hold.
_SHORT, _FEW = 2_048, 32


class ClientView:
    """The view of one client.

    Args:
        strategy_of: The publication strategy of a collection, by name.
        wire: How packets are made, until :meth:`speak`.
        send: Puts packets on the socket.

    Attributes:
        gate: Lets live queries through.
    """

    __slots__ = (
        "_before",
        "_box",
        "_compared",
        "_digesting",
        "_is_ended",
        "_is_full",
        "_is_resyncing",
        "_outbox",
        "_unmerged",
        "_unmerged_bytes",
        "_urgent",
        "_urgent_bytes",
        "gate",
    )

    def __init__(
        self,
        strategy_of: Callable[[str], PublicationStrategy],
        wire: Wire,
        send: Callable[[Sequence[bytes]], object],
    ) -> None:
        """Begin with an empty view and a socket that has room."""
        self.gate = Gate(wire, send)
        self._box = MergeBox(strategy_of)
        self._outbox = Outbox()
        self._urgent: list[bytes] = []
        self._urgent_bytes = 0
        self._is_full = False
        self._is_ended = False
        # During a user change: what the former user was to see.
        self._before: Snapshot | None = None
        # During a resync: the collections that will be compared, None before that is known.
        self._is_resyncing = False
        self._compared: frozenset[str] | None = None
        self._digesting: Iterator[None] | None = None
        # Documents of collections that are not merged: they come after what is removed of them.
        self._unmerged: list[bytes] = []
        self._unmerged_bytes = 0
        self._look_at_gate()

    @property
    def is_paused(self) -> bool:
        """Whether everything but urgent messages waits for a comparison."""
        return self._before is not None or self._is_resyncing

    @property
    def is_full(self) -> bool:
        """Whether the socket takes nothing now."""
        return self._is_full

    @property
    def message_bytes(self) -> int:
        """Size of the messages that wait, bytes."""
        return self._outbox.message_bytes + self._urgent_bytes + self._unmerged_bytes

    @property
    def waiting_documents(self) -> int:
        """How many documents wait."""
        return self._outbox.document_count

    @property
    def document_count(self) -> int:
        """How many documents the client is to see, as far as the strategies know."""
        return self._box.document_count

    def speak(self, wire: Wire) -> None:
        """Make packets in another way; nothing was published yet."""
        self.gate.wire = wire

    # What is published

    def join(self, source: Source) -> None:
        """Publish the whole result of a live query that has just been joined.

        Raises:
            EJSONError: If a value cannot be sent; what came before it is published.
        """
        view = source.view
        assert view is not None
        self._share_no_longer(source.collection, source)
        if not self._box.join(source, source.collection, view):
            self.apply(source, view.initial())
            return
        initial = view.initial()
        for number in range(len(initial)):
            try:
                self._check_sendable(source, initial, number)
            except EJSONError:
                self._note_all(source.collection, initial[:number])
                raise
        self._note_all(source.collection, initial)
        self._step_in(source)

    def apply(self, owner: Owner, changes: Sequence[ViewChange]) -> None:
        """Publish changes.

        Raises:
            EJSONError: If a value cannot be sent; what came before it is published.
            LocalProtocolError: If a document is changed or removed that is not in the view.
        """
        for number, change in enumerate(changes):
            self._check_sendable(owner, changes, number)
            collection = change.message.collection
            self._share_no_longer(collection, owner)
            before = change.before
            if self._box.sole_owner(collection) != owner:
                before = self._visible(collection, key_of(change.message.id)) or {}
            message = self._box.apply(owner, change)
            if message is not None:
                self._note(message, before, change if message is change.message else None)

    def changed(self, owner: Owner, message: Changed, changes: Fields) -> None:
        """Publish other values of some fields, without knowing the others.

        Args:
            owner: Who publishes them.
            message: The change as a message.
            changes: The same as fields; UNDEFINED clears one.

        Raises:
            EJSONError: If a value cannot be sent.
            LocalProtocolError: If the client does not hold the document.
        """
        self.gate.wire.packet(message)
        self._share_no_longer(message.collection, owner)
        before = self._visible(message.collection, key_of(message.id)) or {}
        visible = self._box.changed(owner, message.collection, message.id, changes)
        if visible is not None:
            self._note(visible, before, None)

    def leave(self, owner: Owner) -> None:
        """Take back everything that an owner published; a live query has told all its changes."""
        if isinstance(owner, Source) and owner.view is not None:
            owner.view.step_out(owner)
        for name in self._box.collections_of(owner):
            for message, before in self._box.leave(owner, name):
                self._note(message, before, None)
            self._share_again(name)

    # What is sent

    def packet(self, message: ServerMessage) -> bytes:
        """Return what is written for a message.

        Raises:
            EJSONError: If a value cannot be sent.
        """
        return self.gate.wire.packet(message)

    def message(self, packet: bytes) -> None:
        """Send a message, after all documents that were published before it."""
        self.gate.is_open = False
        if self._outbox.generations or len(packet) > _SHORT or len(self._urgent) >= _FEW:
            self._outbox.message(packet)
        else:
            # Nothing waits that it could overtake.
            self._urgent.append(packet)
            self._urgent_bytes += len(packet)

    def urgent(self, packet: bytes) -> None:
        """Send a message that has nothing to do with documents, before everything that waits."""
        self.gate.is_open = False
        self._urgent.append(packet)
        self._urgent_bytes += len(packet)

    def packets(self, max_bytes: int) -> list[bytes]:
        """Take what is to be sent next.

        Args:
            max_bytes: Stop after about so many.

        Returns:
            Packets in order; empty if nothing waits or nothing can be sent now.
        """
        if self._is_full:
            return []
        packets, self._urgent = self._urgent, []
        self._urgent_bytes = 0
        if self._outbox.generations and not self.is_paused:
            packets += self._outbox.take(self._visible, self.gate.wire, max_bytes)
        self._look_at_gate()
        return packets

    @property
    def has_packets(self) -> bool:
        """Whether something waits and can be sent now."""
        if self._is_full:
            return False
        if self._urgent:
            return True
        return bool(self._outbox.generations) and not self.is_paused

    def become_full(self) -> None:
        """Let everything wait, because the socket takes no more."""
        self._is_full = True
        self._outbox.settle()
        self._look_at_gate()

    def drain(self) -> None:
        """Let things be sent again, because the socket has room."""
        self._is_full = False
        self._look_at_gate()

    def end(self) -> None:
        """Publish nothing more; messages that wait are still sent, documents are not."""
        self._is_ended = True
        self._before, self._is_resyncing = None, False
        self._digesting = None
        self._take_unmerged()
        self._outbox.forget_documents()
        self._look_at_gate()

    # Another user

    def begin_user_change(self, *, is_held: bool = True) -> None:
        """Forget what the former user was to see, without a word.

        Args:
            is_held: During a resync: the client has said what it holds, so it may be a former
                user's, and nothing is left of the resync.
        """
        for source in self._box.sole_owners():
            if isinstance(source, Source) and source.view is not None:
                source.view.catch_up()
                source.view.step_out(source)
        if self._is_resyncing:
            # It was sent no document that it did not hold.
            self._outbox.forget_documents()
            self._take_unmerged()
            self._box.forget_merged()
            if is_held:
                self._is_resyncing = False
                self._digesting = None
                self._before = {}
                self.message(self.packet(Void()))
        else:
            self._before = self._box.snapshot()
            for message in self._box.forget_merged():
                self.message(self.packet(message))
        self._look_at_gate()

    def end_user_change(self) -> None:
        """Send the difference between the former view and the present one."""
        self._catch_up()
        if not self._is_resyncing:
            before, self._before = self._before, None
            for message, seen in self._box.difference(before or {}):
                self._note(message, seen, None)
        self._look_at_gate()

    # Resync

    @property
    def is_resyncing(self) -> bool:
        """Whether it is not known yet what the client holds."""
        return self._is_resyncing

    def begin_resync(self) -> None:
        """Send no document, because nobody knows yet what the client holds."""
        self._is_resyncing = True
        self._compared = None
        self._look_at_gate()

    def make_digests(self, collections: Iterable[str]) -> bool:
        """Make digests for :meth:`compare`, of :data:`DIGESTS_AT_ONCE` documents at most.

        Args:
            collections: Where.

        Returns:
            Whether all are made; if not, call it again, and let others have their turn before.
        """
        left = DIGESTS_AT_ONCE
        while True:
            begins = self._digesting is None
            if self._digesting is None:
                self._digesting = self._box.digesting(collections)
            made = sum(1 for _ in islice(self._digesting, left))
            if made == left:
                return False
            # What was looked at before may have changed meanwhile: look until nothing is left.
            self._digesting = None
            left -= made
            if begins and not made:
                return True

    def compare(self, views: Mapping[str, bytes]) -> tuple[str, ...]:
        """Compare what the client holds with what it is to see.

        Args:
            views: Collection -> digest of what the client shows of it, 16 bytes.

        Returns:
            The collections that differ. Changes of all others wait for the end from now on.
        """
        self._catch_up()
        wanted = {name for name, digest in views.items() if digest != self._box.digest(name)}
        unheld = self._box.names() - views.keys()
        self._compared = frozenset(wanted | unheld)
        return tuple(sorted(wanted))

    def end_resync(self, have: Mapping[str, Mapping[str, bytes]]) -> None:
        """Send the difference between what the client holds and what it is to see.

        Args:
            have: Collection -> id as on the wire -> digest, of the collections that differ.
        """
        self._catch_up()
        compared, self._compared, self._is_resyncing = self._compared or frozenset(), None, False
        for name in sorted(compared):
            self._send_difference(name, have.get(name, {}))
        for packet in self._take_unmerged():
            self._outbox.message(packet)
        self._look_at_gate()

    # Inside

    def _catch_up(self) -> None:
        """Be told everything about results that are views: none must be ahead when compared."""
        for source in self._box.sole_owners():
            if isinstance(source, Source) and source.view is not None:
                source.view.catch_up()

    def _send_difference(self, name: str, have: Mapping[str, bytes]) -> None:
        documents = {
            id_stringify(id): (key, id, fields)
            for key, (id, fields) in self._box.documents(name).items()
        }
        for wire_id in have.keys() - documents.keys():
            try:
                self._outbox.replace(name, id_parse(wire_id))
            except (EJSONError, TypeError):
                continue  # it was never one of ours
        for wire_id, (key, id, fields) in documents.items():
            digest = have.get(wire_id)
            if digest is None:
                self._outbox.note(Added(name, id, fields), {}, None)
            elif digest != self._box.document_digest(name, key):
                self._outbox.replace(name, id)

    def _note(self, message: DataMessage, before: Fields, shared: ViewChange | None) -> None:
        collection = message.collection
        self.gate.is_open = False
        if not self._box.is_merged(collection):
            packet = self.packet(message)
            if self._is_resyncing:
                self._unmerged.append(packet)
                self._unmerged_bytes += len(packet)
            else:
                self._outbox.message(packet)
        elif not self._is_held_back(collection):
            self._outbox.note(message, before, None if self._is_full else shared)

    def _check_sendable(self, owner: Owner, changes: Sequence[ViewChange], number: int) -> None:
        """Make sure that a change can be sent; packets are shared, so they are not made in vain.

        Raises:
            EJSONError: If not; this change and those after it are not in the view.
        """
        try:
            changes[number].packet(self.gate.wire)
        except EJSONError:
            collection = changes[number].message.collection
            if isinstance(owner, Source) and self._box.sole_owner(collection) == owner:
                # Its result has them already, and the client is to be told of none.
                assert owner.view is not None
                owner.view.step_out(owner)
                self._box.merge_without(collection, changes[number:])
            raise

    def _note_all(self, collection: str, added: Sequence[ViewChange]) -> None:
        """Note documents of a merged collection in which the client is to see nothing yet."""
        self.gate.is_open = False
        if self._is_held_back(collection):
            return
        if self._outbox.has_documents_of(collection):
            # What was taken back this turn may be here again.
            for change in added:
                self._note(change.message, change.before, change)
            return
        self._outbox.note_all(added)
        if self._is_full:
            self._outbox.settle()

    def _take_unmerged(self) -> list[bytes]:
        unmerged, self._unmerged = self._unmerged, []
        self._unmerged_bytes = 0
        return unmerged

    def _is_held_back(self, collection: str) -> bool:
        """Tell whether a collection will be compared as a whole."""
        if self._before is not None:
            return True
        return self._is_resyncing and (self._compared is None or collection in self._compared)

    def _visible(self, collection: str, key: Key) -> Fields | None:
        return self._box.visible(collection, key)

    def _share_no_longer(self, collection: str, owner: Owner) -> None:
        """Let a collection have a second owner: the first one's result is not the view any more."""
        sole = self._box.sole_owner(collection)
        if sole is None or sole == owner:
            return
        assert isinstance(sole, Source)
        assert sole.view is not None
        sole.view.catch_up()
        sole.view.step_out(sole)
        self._box.merge(collection)

    def _share_again(self, collection: str) -> None:
        """Let the result of the last owner be the view."""
        lone = self._box.lone_owner(collection)
        if lone is None:
            return
        assert isinstance(lone, Source)
        assert lone.view is not None
        lone.view.catch_up()
        # It may have failed by that, and left.
        if self._box.lone_owner(collection) == lone:
            self._box.unmerge(collection)
            self._step_in(lone)

    def _step_in(self, source: Source) -> None:
        if source.may_step_in and source.view is not None:
            source.view.step_in(source, self.gate)

    def _look_at_gate(self) -> None:
        self.gate.is_open = not (
            self._is_ended
            or self._is_full
            or self._urgent
            or self._outbox.generations
            or self.is_paused
        )
