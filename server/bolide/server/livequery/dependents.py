"""Followers that follow further queries because of what they were told; fences wait for them."""

import asyncio
from collections.abc import Collection
from typing import Protocol

__all__ = ["Dependent", "Dependents"]


class Dependent(Protocol):
    """Who acts upon changes later than in the turn in which it is told of them."""

    def depends_on(self, collections: Collection[str]) -> bool:
        """Tell whether changes of one of these collections may concern it."""
        ...

    async def settled(self) -> None:
        """Wait until everything it was told up to now was acted upon."""
        ...


class Dependents:
    """Those who were told something and have not acted upon all of it yet."""

    def __init__(self) -> None:
        """Begin with nobody."""
        self._busy: dict[Dependent, None] = {}

    def __len__(self) -> int:
        return len(self._busy)

    def begin(self, dependent: Dependent) -> None:
        """Let fences wait for it from now on; to be called in the turn in which it is told."""
        self._busy[dependent] = None

    def done(self, dependent: Dependent) -> None:
        """Let no fence wait for it; harmless a second time."""
        self._busy.pop(dependent, None)

    async def settled(self, collections: Collection[str] | None = None) -> None:
        """Wait until what they were told up to now was acted upon.

        Args:
            collections: Where something was written; None is anywhere.
        """
        concerned = [
            dependent
            for dependent in self._busy
            if collections is None or dependent.depends_on(collections)
        ]
        await asyncio.gather(*(dependent.settled() for dependent in concerned))
