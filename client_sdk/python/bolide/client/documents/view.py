"""What a client shows, and in which order its program is told.

Sans-I/O. Three layers: what the server told (:mod:`bolide.client.documents.replica`), what stubs
wrote over it (:mod:`bolide.client.documents.overlay`), and what is held while the client catches up
with a new session (:mod:`bolide.client.documents.catch_up`). The methods return the events that are
to be told now.
"""

from collections.abc import Iterable, Mapping, Sequence

from bolide.client.documents.catch_up import CatchUp
from bolide.client.documents.overlay import Overlay
from bolide.client.documents.replica import DataMessage, Replica
from bolide.client.events import CallFinished, ConversationEvent, DocumentChange

__all__ = ["View"]


class View:
    """The documents of one client over all its sessions.

    Attributes:
        catch_up: What is awaited before documents of a new session are shown.
    """

    __slots__ = ("_overlay", "_replica", "catch_up")

    def __init__(self) -> None:
        """Begin empty."""
        self.catch_up = CatchUp()
        self._replica = Replica()
        self._overlay = Overlay(self._replica)

    @property
    def document_count(self) -> int:
        """How many documents of the server there are, without what stubs inserted."""
        return self._replica.document_count

    def digests(self) -> Mapping[str, Mapping[str, bytes]]:
        """Return the digests of the server's documents by collection and id as on the wire."""
        return self._replica.digests()

    def receive(self, message: DataMessage) -> Sequence[ConversationEvent]:
        """Take a message of the server.

        Raises:
            TypeError: If the document's id cannot be one.
        """
        return self._overlay.let_through(self._replica.receive(message))

    def drop(self) -> Sequence[ConversationEvent]:
        """Let all documents go at once, those of stubs as well."""
        return [*self._overlay.drop(), *self._replica.drop()]

    # Calls.

    def call_made(
        self, call_id: str, writes: Iterable[DocumentChange]
    ) -> Sequence[ConversationEvent]:
        """Show what the stub of a call wrote."""
        return self._overlay.write(call_id, writes)

    def shows_stub_of(self, call_id: str) -> bool:
        """Whether documents are shown as the stub of this call left them."""
        return self._overlay.covers(call_id)

    def call_abandoned(self, call_id: str) -> Sequence[ConversationEvent]:
        """End a call without telling an outcome."""
        return self._overlay.abandon(call_id)

    def tell(self, event: ConversationEvent) -> Sequence[ConversationEvent]:
        """Tell now, or after the documents that are still held."""
        if self.catch_up.deadline is None:
            return self._tell_now([event])
        self.catch_up.hold(event)
        return ()

    # Catching up.

    def begin_catch_up(self, awaited: Iterable[str], deadline: float, *, resync: bool) -> None:
        """Hold what comes until these requests are answered.

        Args:
            awaited: Their ids.
            deadline: When what has arrived is to be shown in any case, monotonic seconds.
            resync: The session sends only what differs from what is shown.
        """
        self._replica.begin_catch_up(resync=resync)
        self.catch_up.begin(awaited, deadline)

    def finish_catch_up(self) -> Sequence[ConversationEvent]:
        """Show the new session's documents, and tell what was held."""
        shown = self._overlay.let_through(self._replica.finish_catch_up())
        return [*shown, *self._tell_now(self.catch_up.finish())]

    def show_arrived(self) -> Sequence[ConversationEvent]:
        """Show what has arrived though something is still awaited, and tell what was held."""
        shown = self._overlay.let_through(self._replica.show_arrived())
        return [*shown, *self._tell_now(self.catch_up.let_go())]

    def _tell_now(self, events: Iterable[ConversationEvent]) -> list[ConversationEvent]:
        told: list[ConversationEvent] = []
        for event in events:
            if isinstance(event, CallFinished):
                told.extend(self._overlay.finish(event))
            else:
                told.append(event)
        return told
