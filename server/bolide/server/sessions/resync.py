"""One resync: a client came back and says what it still shows.

Theory of operation::

    awaited --Resync--> running --all subscriptions settled, or deadline--> digesting
       |                                                                        |
       |          done <-- all are made, nothing differs ------------------------|
       |           ^--- Have --- wanted <-- all are made, something differs ----'
       |                           |
       '-- deadline --> broken <---'-- too many documents named, or deadline

While it runs nothing is sent that stands for documents
(:class:`~bolide.server.sessions.backlog.Backlog`). The view itself is compared by
:class:`~bolide.server.sessions.view.client_view.ClientView`.
"""

from collections.abc import Callable, Mapping
from enum import Enum

from bolide.core.ddp.messages import Have, Resync, Want
from bolide.server.limits import Limits
from bolide.server.sessions.view.client_view import ClientView

__all__ = ["ResyncPhase", "ResyncRun"]


class ResyncPhase(Enum):
    """How far a resync is."""

    AWAITED = "awaited"
    RUNNING = "running"
    DIGESTING = "digesting"
    WANTED = "wanted"
    DONE = "done"
    BROKEN = "broken"


class ResyncRun:
    """A resync from ``connected`` to its end.

    Args:
        view: What the client is to see.
        limits: What the client may use.
        now: Monotonic time, seconds.

    Attributes:
        phase: How far it is.
        deadline: When this phase has to end, monotonic seconds; None: when we have done our work.
        fault: What the client did wrong, once it is broken; one line for the client.
        have: What the client told so far: collection -> id as on the wire -> digest.
    """

    __slots__ = (
        "_awaited",
        "_id_count",
        "_limits",
        "_received_bytes",
        "_view",
        "_views",
        "_wanted",
        "deadline",
        "fault",
        "have",
        "phase",
    )

    def __init__(self, view: ClientView, limits: Limits, now: float) -> None:
        """Wait for the client's message; the view sends no document from now on."""
        self.phase = ResyncPhase.AWAITED
        self.deadline: float | None = now + limits.resync_start_timeout_s
        self.fault = ""
        self.have: dict[str, dict[str, bytes]] = {}
        self._view = view
        self._limits = limits
        self._views: Mapping[str, bytes] = {}
        self._id_count = 0
        self._received_bytes = 0
        self._awaited: list[str] = []
        self._wanted: frozenset[str] = frozenset()
        view.begin_resync()

    def receive(self, message: Resync | Have, size: int, now: float) -> bool:
        """Take a message of the client.

        Args:
            message: What it says.
            size: Of it, bytes.
            now: Monotonic time, seconds.

        Returns:
            Whether it belongs here.
        """
        if isinstance(message, Resync) and self.phase is ResyncPhase.AWAITED:
            self._enter(ResyncPhase.RUNNING, now)
            self._views = message.views
            self._awaited = list(message.subs)
            return True
        if isinstance(message, Have) and self.phase is ResyncPhase.WANTED:
            self._receive_have(message, size)
            return True
        return False

    def is_settled(self, is_awaited: Callable[[str], bool]) -> bool:
        """Tell whether it runs, and no subscription has to be waited for any longer.

        Args:
            is_awaited: Tells it of one; not asked again about those that are settled, since a
                client may name very many.
        """
        if self.phase is not ResyncPhase.RUNNING:
            return False
        awaited = self._awaited
        while awaited and not is_awaited(awaited[-1]):
            awaited.pop()
        return not awaited

    def digest(self) -> bool:
        """Make digests of what the client named, without the subscriptions that are not settled.

        Returns:
            Whether all are made; if not, call it again, and let others have their turn before.
        """
        self.phase = ResyncPhase.DIGESTING
        self.deadline = None
        return self._view.make_digests(self._views)

    def compare(self, now: float) -> Want:
        """Compare the views.

        Args:
            now: Monotonic time, seconds.

        Returns:
            What the client is to be told.
        """
        wanted = self._view.compare(self._views)
        self._wanted = frozenset(wanted)
        self._enter(ResyncPhase.WANTED if wanted else ResyncPhase.DONE, now)
        return Want(wanted)

    def expire(self) -> None:
        """End it, because the client asked for it and did not go on."""
        self._break("The client asked for a resync and did not go on with it")

    def _receive_have(self, message: Have, size: int) -> None:
        self._received_bytes += size
        for name, documents in message.views.items():
            if name in self._wanted:
                self.have.setdefault(name, {}).update(documents)
            self._id_count += len(documents)
        limits = self._limits
        if self._id_count > limits.max_resync_ids or self._received_bytes > limits.max_resync_bytes:
            self._break("You hold more documents than a resync may name")
        elif not message.more:
            self.phase = ResyncPhase.DONE

    def _enter(self, phase: ResyncPhase, now: float) -> None:
        self.phase = phase
        self.deadline = now + self._limits.resync_timeout_s

    def _break(self, fault: str) -> None:
        self.phase = ResyncPhase.BROKEN
        self.fault = fault
