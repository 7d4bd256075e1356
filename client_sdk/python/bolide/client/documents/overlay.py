"""Documents as stubs wrote them, laid over what the server told.

Sans-I/O. A stub simulates a method in the client. Until the server has sent the data of the method
(``updated``), the documents that the stub wrote are shown as it left them, and what the server
tells of them meanwhile waits below. Then they are shown as the server has them, in one step.

Documents are released together with all that they are connected with: a document is connected
with the calls that wrote it, and a call with the documents it wrote. So a stub is never rolled
back by half, even where several calls wrote one document and end in another order.

Meteor's client releases each document by itself and makes every finished call wait for all of them;
here a call waits for the documents it wrote and for those of which the server has told a change
since the call was made, because that change may be its own.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bolide.client.documents.replica import Replica, is_same
from bolide.client.events import CallFinished, ConversationEvent, DocumentChange
from bolide.core.keys import Key, key_of
from bolide.core.values import Document

__all__ = ["Overlay"]

_Place: TypeAlias = tuple[str, Key]  # collection and key of the document


@dataclass(slots=True)
class _Covered:
    """One document that is shown as stubs left it.

    Attributes:
        document_id: Its ``_id``.
        document: What is shown; None if it is removed.
        calls: Those that wrote it.
        told_at: Moment of the server's last change of it since then; 0 for none.
    """

    document_id: Any
    document: Document | None
    calls: set[str] = field(default_factory=set[str])
    told_at: int = 0


class Overlay:
    """What stubs wrote, as long as the server has not answered."""

    __slots__ = ("_covered", "_done", "_made_at", "_moment", "_replica", "_waiting", "_written")

    def __init__(self, replica: Replica) -> None:
        """Begin with nothing covered.

        Args:
            replica: What the server told.
        """
        self._replica = replica
        self._covered: dict[_Place, _Covered] = {}
        self._written: dict[str, set[_Place]] = {}
        self._done: set[str] = set()
        # Counts the server's changes of covered documents.
        self._moment = 0
        self._made_at: dict[str, int] = {}
        self._waiting: list[tuple[CallFinished, set[_Place]]] = []

    def covers(self, call_id: str) -> bool:
        """Whether documents that this call wrote are shown as it left them."""
        return call_id in self._written

    def write(self, call_id: str, writes: Iterable[DocumentChange]) -> list[DocumentChange]:
        """Begin a call: show what its stub wrote; return what that changes.

        Args:
            call_id: The call, also one without a stub.
            writes: Each document that the stub wrote, as it left it.
        """
        self._made_at[call_id] = self._moment
        changes: list[DocumentChange] = []
        for write in writes:
            place = (write.collection, key_of(write.document_id))
            before = self._shown(place)
            covered = self._covered.get(place)
            if covered is None:
                covered = self._covered[place] = _Covered(write.document_id, None)
            covered.document = write.document
            covered.calls.add(call_id)
            self._written.setdefault(call_id, set()).add(place)
            if not is_same(before, write.document):
                changes.append(write)
        return changes

    def let_through(self, changes: Sequence[DocumentChange]) -> list[DocumentChange]:
        """Return those of the server's changes that are to be shown now."""
        if not self._covered:
            return list(changes)
        shown: list[DocumentChange] = []
        for change in changes:
            covered = self._covered.get((change.collection, key_of(change.document_id)))
            if covered is None:
                shown.append(change)
            else:
                self._moment += 1
                covered.told_at = self._moment
        return shown

    def finish(self, event: CallFinished) -> list[ConversationEvent]:
        """End a call: show the server's documents where no other call is in the way.

        Args:
            event: Its outcome.

        Returns:
            Documents as the server has them, and outcomes that no document holds up any more, this
            one or others.
        """
        made_at = self._made_at.pop(event.call_id)
        released = self._release(event.call_id)
        places = {place for place, one in self._covered.items() if one.told_at > made_at}
        places |= self._written.get(event.call_id, set())
        self._waiting.append((event, places))
        return [*released, *self._outcomes()]

    def abandon(self, call_id: str) -> list[ConversationEvent]:
        """End a call as :meth:`finish` does, without an outcome to tell."""
        del self._made_at[call_id]
        return [*self._release(call_id), *self._outcomes()]

    def drop(self) -> list[ConversationEvent]:
        """Cover nothing any more, without waiting for the calls."""
        changes = [self._uncover(place) for place in list(self._covered)]
        self._written.clear()
        self._done.clear()
        return [*(change for change in changes if change is not None), *self._outcomes()]

    def _shown(self, place: _Place) -> Document | None:
        covered = self._covered.get(place)
        return self._replica.get(*place) if covered is None else covered.document

    def _release(self, call_id: str) -> list[DocumentChange]:
        """Uncover all that is connected with a call that is done, if all its calls are."""
        if call_id not in self._written:
            return []
        self._done.add(call_id)
        calls, places = {call_id}, dict[_Place, None]()
        unseen = [call_id]
        while unseen:
            one = unseen.pop()
            if one not in self._done:
                return []
            for place in self._written[one]:
                places[place] = None
                unseen.extend(self._covered[place].calls - calls)
                calls |= self._covered[place].calls
        for one in calls:
            del self._written[one]
        self._done -= calls
        changes = [self._uncover(place) for place in places]
        return [change for change in changes if change is not None]

    def _uncover(self, place: _Place) -> DocumentChange | None:
        covered = self._covered.pop(place)
        for _, places in self._waiting:
            places.discard(place)
        document = self._replica.get(*place)
        if is_same(covered.document, document):
            return None
        return DocumentChange(place[0], covered.document_id, document)

    def _outcomes(self) -> list[CallFinished]:
        told = [event for event, places in self._waiting if not places]
        self._waiting = [(event, places) for event, places in self._waiting if places]
        return told
