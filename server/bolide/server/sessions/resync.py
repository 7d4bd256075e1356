"""One resync: a client came back and says what it still shows.

Theory of operation::

    awaited --Resync--> running --all subscriptions settled, or deadline--> digesting
       '-- deadline: the client broke its word                                 |
                                     done <-- nothing differs -- all digests are made
                                      ^-- Have -- wanted <-- something differs --|
                                                     '-- deadline: it broke its word

The view itself is compared by :class:`~bolide.server.sessions.client_view.ClientView`.
"""

from collections.abc import Callable, Mapping
from enum import Enum

from bolide.core.ddp.messages import Have, Resync

__all__ = ["ResyncPhase", "ResyncRun"]


class ResyncPhase(Enum):
    """How far a resync is."""

    AWAITED = "awaited"
    RUNNING = "running"
    DIGESTING = "digesting"
    WANTED = "wanted"


class ResyncRun:
    """A resync from ``connected`` to its end.

    Attributes:
        phase: How far it is.
        deadline: When this phase has to end, monotonic seconds; None: when we have done our work.
        have: What the client told so far: collection -> id as on the wire -> digest.
        views: Collection -> digest of what the client shows.
        id_count: How many documents it named so far.
        received_bytes: Size of the messages in which it did.
    """

    __slots__ = (
        "_awaited",
        "_wanted",
        "deadline",
        "have",
        "id_count",
        "phase",
        "received_bytes",
        "views",
    )

    def __init__(self, deadline: float) -> None:
        """Wait for the client's message."""
        self.phase = ResyncPhase.AWAITED
        self.deadline: float | None = deadline
        self.have: dict[str, dict[str, bytes]] = {}
        self.views: Mapping[str, bytes] = {}
        self.id_count = 0
        self.received_bytes = 0
        self._awaited: list[str] = []
        self._wanted: frozenset[str] = frozenset()

    def begin(self, request: Resync, deadline: float) -> None:
        """Wait for the subscriptions."""
        self.phase = ResyncPhase.RUNNING
        self.deadline = deadline
        self.views = request.views
        self._awaited = list(request.subs)

    def is_settled(self, is_awaited: Callable[[str], bool]) -> bool:
        """Tell whether no subscription has to be waited for any longer.

        Args:
            is_awaited: Tells it of one; not asked again about those that are settled, since a
                client may name very many.
        """
        awaited = self._awaited
        while awaited and not is_awaited(awaited[-1]):
            awaited.pop()
        return not awaited

    def digest(self) -> None:
        """Wait until the digests of the collections that the client named are made."""
        self.phase = ResyncPhase.DIGESTING
        self.deadline = None

    def want(self, collections: tuple[str, ...], deadline: float) -> None:
        """Wait for the digests of these collections."""
        self.phase = ResyncPhase.WANTED
        self.deadline = deadline
        self._wanted = frozenset(collections)

    def receive_have(self, message: Have, size: int) -> None:
        """Take one chunk; collections not asked for are left.

        Args:
            message: The chunk.
            size: Of the message, bytes.
        """
        self.received_bytes += size
        for name, documents in message.views.items():
            if name in self._wanted:
                self.have.setdefault(name, {}).update(documents)
            self.id_count += len(documents)
