"""The time after a reconnect in which documents that are shown may be older than the session.

Sans-I/O. It ends when everything that is awaited was answered. Until then, or until the deadline
has passed, documents are kept aside, and events that must not overtake them are held.
"""

from collections.abc import Iterable

from bolide.client.events import ConversationEvent

__all__ = ["CatchUp"]


class CatchUp:
    """What is awaited, for how long, and what is held meanwhile."""

    __slots__ = ("_awaited", "_deadline", "_held")

    def __init__(self) -> None:
        """Begin with nothing to catch up with."""
        self._awaited: set[str] | None = None
        self._deadline: float | None = None
        self._held: list[ConversationEvent] = []

    @property
    def is_on(self) -> bool:
        """Whether something is still awaited."""
        return self._awaited is not None

    @property
    def deadline(self) -> float | None:
        """When what has arrived is to be shown in any case; None if nothing is kept aside."""
        return self._deadline

    def begin(self, awaited: Iterable[str], deadline: float) -> None:
        """Wait for these requests to be answered.

        Args:
            awaited: Their ids.
            deadline: Monotonic time, seconds.
        """
        self._awaited = set(awaited)
        self._deadline = deadline

    def is_awaiting(self, request_id: str) -> bool:
        """Whether this one is awaited still."""
        return self._awaited is not None and request_id in self._awaited

    def awaits(self, request_id: str) -> None:
        """Wait for one more."""
        if self._awaited is not None:
            self._awaited.add(request_id)

    def answered(self, request_id: str) -> None:
        """Wait no longer for this one."""
        if self._awaited is not None:
            self._awaited.discard(request_id)

    @property
    def is_complete(self) -> bool:
        """Whether everything has come that was awaited."""
        return self._awaited is not None and not self._awaited

    def finish(self) -> list[ConversationEvent]:
        """End it; return what was held."""
        self._awaited = None
        return self.let_go()

    def let_go(self) -> list[ConversationEvent]:
        """Hold nothing any longer, though something is still awaited; return what was held."""
        self._deadline = None
        held, self._held = self._held, []
        return held

    def connection_lost(self) -> None:
        """Keep what is held for the next session's catching up."""
        self._deadline = None

    def hold(self, event: ConversationEvent) -> None:
        """Keep an event until the documents are shown."""
        self._held.append(event)
