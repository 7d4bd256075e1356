"""One resync: a client came back and says what it still shows.

Theory of operation::

    awaited --Resync--> running --all subscriptions settled, or deadline--> wanted --Have--> done
       |                                   |-- nothing differs ------------------------------^
       '-- deadline: the client broke its word        '-- deadline: the client broke its word

The view itself is compared by :class:`~bolide.server.sessions.client_view.ClientView`.
"""

from collections.abc import Mapping
from enum import Enum

from bolide.core.ddp.messages import Have, Resync

__all__ = ["ResyncPhase", "ResyncRun"]


class ResyncPhase(Enum):
    """How far a resync is."""

    AWAITED = "awaited"
    RUNNING = "running"
    WANTED = "wanted"


class ResyncRun:
    """A resync from ``connected`` to its end.

    Attributes:
        phase: How far it is.
        deadline: When this phase has to end, monotonic seconds.
        have: What the client told so far: collection -> id as on the wire -> digest.
    """

    __slots__ = ("_count", "_request", "_wanted", "deadline", "have", "phase")

    def __init__(self, deadline: float) -> None:
        """Wait for the client's message."""
        self.phase = ResyncPhase.AWAITED
        self.deadline = deadline
        self.have: dict[str, dict[str, bytes]] = {}
        self._request = Resync((), {})
        self._wanted: frozenset[str] = frozenset()
        self._count = 0

    @property
    def subs(self) -> tuple[str, ...]:
        """The subscriptions that it waits for."""
        return self._request.subs

    @property
    def views(self) -> Mapping[str, bytes]:
        """Collection -> digest of what the client shows."""
        return self._request.views

    def begin(self, request: Resync, deadline: float) -> None:
        """Wait for the subscriptions."""
        self.phase = ResyncPhase.RUNNING
        self.deadline = deadline
        self._request = request

    def want(self, collections: tuple[str, ...], deadline: float) -> None:
        """Wait for the digests of these collections."""
        self.phase = ResyncPhase.WANTED
        self.deadline = deadline
        self._wanted = frozenset(collections)

    def receive_have(self, message: Have) -> int:
        """Take one chunk; returns how many ids came so far. Collections not asked for are left."""
        for name, documents in message.views.items():
            if name in self._wanted:
                self.have.setdefault(name, {}).update(documents)
            self._count += len(documents)
        return self._count
