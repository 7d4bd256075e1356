"""The turn: what is put off to the end of one turn of the event loop, in the right order.

Live queries hand over what changed before sessions send what waits, so that everything of one turn
reaches a socket in one write.
"""

import asyncio
from collections.abc import Callable, Iterable

__all__ = ["Turn"]


class Turn:
    """Collects work of the present turn; one for each node."""

    __slots__ = ("_deliveries", "_flushes", "_is_due")

    def __init__(self) -> None:
        """Begin with nothing to do."""
        self._deliveries: dict[Callable[[], object], None] = {}
        self._flushes: dict[Callable[[], object], None] = {}
        self._is_due = False

    def deliver_later(self, deliver: Callable[[], object]) -> None:
        """Let a live query hand over what changed, once, at the end of the turn.

        Args:
            deliver: Must not raise.
        """
        self._deliveries[deliver] = None
        self._be_called()

    def flush_later(self, flush: Callable[[], object]) -> None:
        """Let a session send what waits, once, after all live queries.

        Args:
            flush: Must not raise.
        """
        self._flushes[flush] = None
        self._be_called()

    def _be_called(self) -> None:
        if not self._is_due:
            self._is_due = True
            asyncio.get_running_loop().call_soon(self._end)

    def _end(self) -> None:
        self._is_due = False
        # A delivery may cause flushes; what these cause waits for the next turn.
        deliveries, self._deliveries = self._deliveries, {}
        _do_all(deliveries)
        flushes, self._flushes = self._flushes, {}
        _do_all(flushes)


def _do_all(callbacks: Iterable[Callable[[], object]]) -> None:
    for callback in callbacks:
        try:
            callback()
        except Exception as error:  # it breaks its promise, the others keep theirs
            asyncio.get_running_loop().call_exception_handler(
                {"message": "Something failed at the end of a turn.", "exception": error}
            )
