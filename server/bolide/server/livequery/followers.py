"""The followers of one live query, in two sets.

Those *in step* hold exactly its result and nothing else of the collection: packets are made once
for each wire and go straight to their sockets, without a look at any document. A gate that is
shut sends a follower on its way like the others. Those *on their own* are told what changed, and
find out what that means for their client.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from bolide.core.errors import EJSONError
from bolide.server.sessions.transport import Wire
from bolide.server.sessions.view.source import FollowedView, Gate, Source
from bolide.server.sessions.view.view_change import ViewChange

__all__ = ["Follower", "Followers"]


class Follower(Protocol):
    """Who is told of a live query's changes; called on the event loop, must not block nor raise."""

    def view_joined(self, view: FollowedView) -> None:
        """Take the whole result; changes follow."""
        ...

    def view_changed(self, changes: Sequence[ViewChange]) -> None:
        """Take what changed in one turn."""
        ...

    def view_failed(self, error: Exception) -> None:
        """Learn that the query cannot be followed any longer."""
        ...


class Followers:
    """All followers of one live query.

    Args:
        count_sent: Called with the number of messages that went straight to sockets.
    """

    __slots__ = ("_count_sent", "_in_step", "_own")

    def __init__(self, count_sent: Callable[[int], object]) -> None:
        """Begin without anybody."""
        self._own: dict[Follower, None] = {}
        self._in_step: dict[Wire, dict[Source, Gate]] = {}
        self._count_sent = count_sent

    def __len__(self) -> int:
        return len(self._own) + self.in_step_count

    @property
    def in_step_count(self) -> int:
        """How many are in step."""
        return sum(map(len, self._in_step.values()))

    def add(self, follower: Follower) -> None:
        """Tell a follower every change, on its own."""
        self._own[follower] = None

    def discard(self, follower: Follower) -> None:
        """Tell a follower nothing more; harmless if it is none."""
        self._own.pop(follower, None)
        if isinstance(follower, Source):
            self._pop_in_step(follower)

    def step_in(self, source: Source, gate: Gate) -> None:
        """Let a follower be in step."""
        if source in self._own:
            del self._own[source]
            self._in_step.setdefault(gate.wire, {})[source] = gate

    def step_out(self, source: Source) -> None:
        """Let a follower be on its own again; harmless if it is."""
        if self._pop_in_step(source):
            self._own[source] = None

    def tell(self, changes: Sequence[ViewChange]) -> None:
        """Tell everybody what changed.

        Args:
            changes: All of one turn.
        """
        alone: list[Follower] = []
        for wire, gates in self._in_step.items():
            bundle = _bundle(wire, changes)
            sent = 0
            for source, gate in gates.items():
                if gate.is_open and bundle is not None:
                    gate.send(bundle)
                    sent += 1
                else:
                    alone.append(source)
            self._count_sent(sent * len(changes))
        # For those who were in step the result is their client's view already, ahead of what it was
        # told: they come first, before another follower of the same client can make it be merged.
        for follower in (*alone, *self._own):
            try:
                follower.view_changed(changes)
            except Exception as error:  # it breaks its promise, the others keep theirs
                self.discard(follower)
                follower.view_failed(error)

    def fail(self, error: Exception) -> None:
        """Tell everybody that the query ended, and let all go."""
        everybody = [*self._own, *(s for gates in self._in_step.values() for s in gates)]
        self._own.clear()
        self._in_step.clear()
        for follower in everybody:
            follower.view_failed(error)

    def _pop_in_step(self, source: Source) -> bool:
        for wire, gates in self._in_step.items():
            if gates.pop(source, None) is not None:
                if not gates:
                    del self._in_step[wire]
                return True
        return False


def _bundle(wire: Wire, changes: Sequence[ViewChange]) -> Sequence[bytes] | None:
    """Return what is written for the changes; None if a value cannot be sent."""
    try:
        return wire.framing.bundle([change.packet(wire) for change in changes])
    except EJSONError:
        return None  # each follower finds out, and fails by itself
