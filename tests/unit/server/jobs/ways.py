"""A node's way to the store and its clock, in the hands of a test."""

from collections.abc import Awaitable, Callable

from bolide.server.clock import Timer
from bolide.server.stores.base import Insert, Position, Query, Receipt, Snapshot, WriteOperation
from bolide.server.stores.memory import MemoryStore
from bolide.server.testing import FakeClock

__all__ = ["NodeClock", "Way"]


async def _at_once() -> None: ...


class Way(MemoryStore):
    """A store, or a way of one node to a store that it shares with others.

    Args:
        to: The other store; None: this one.

    Attributes:
        is_away: It answers nothing.
        loses_answers: It does what it is told, and nobody learns that.
        before_write: Awaited before a write is done.
        after_write: Awaited before a write is answered.
    """

    def __init__(self, to: MemoryStore | None = None) -> None:
        super().__init__()
        self._to = to
        self.is_away = False
        self.loses_answers = False
        self.before_write: Callable[[], Awaitable[object]] = _at_once
        self.after_write: Callable[[], Awaitable[object]] = _at_once

    async def read(self, query: Query, *, after: Position | None = None) -> Snapshot:
        self._check()
        if self._to is not None:
            return await self._to.read(query, after=after)
        return await super().read(query, after=after)

    async def write(self, operation: WriteOperation, *, first: Insert | None = None) -> Receipt:
        self._check()
        await self.before_write()
        if self._to is not None:
            receipt = await self._to.write(operation, first=first)
        else:
            receipt = await super().write(operation, first=first)
        await self.after_write()
        if self.loses_answers:
            raise ConnectionError
        return receipt

    def _check(self) -> None:
        if self.is_away:
            raise ConnectionError


class NodeClock(FakeClock):
    """The clock of a node that may stand still, and whose time of day may be another.

    Args:
        clock: Whose time it is.
        ahead_ms: How far ahead its time of day is.

    Attributes:
        is_frozen: Its node stands still: no timer runs.
    """

    def __init__(self, clock: FakeClock, ahead_ms: int = 0) -> None:
        super().__init__()
        self._clock = clock
        self._ahead_ms = ahead_ms
        self._late: list[Callable[[], object]] = []
        self.is_frozen = False

    def now(self) -> float:
        return self._clock.now()

    def wall_ms(self) -> int:
        return self._clock.wall_ms() + self._ahead_ms

    def call_at(self, when: float, callback: Callable[[], object]) -> Timer:
        def call() -> None:
            if self.is_frozen:
                self._late.append(callback)
            else:
                callback()

        return self._clock.call_at(when, call)

    def thaw(self) -> None:
        """Let it go on; what became due meanwhile runs now, in order."""
        self.is_frozen = False
        late, self._late = self._late, []
        for callback in late:
            callback()
