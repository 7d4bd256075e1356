"""Intervals by what lies in them, for the ranges that live queries ask for."""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Any, Final, Generic, TypeAlias, TypeVar

from bolide.core.minimongo.predicates import Bound

__all__ = ["Interval", "Intervals"]

_Item = TypeVar("_Item")

# An end of an interval in a form that compares: whether there is one, its value, and what an end
# that is left out adds to it. Values that are looked for have 0 there.
_End: TypeAlias = tuple[Any, ...]

_BELOW_ALL: Final[_End] = (0,)
_ABOVE_ALL: Final[_End] = (2,)


class Interval(Generic[_Item]):
    """One interval; keep it to take it away again.

    Attributes:
        item: What is found.
        low: Its lower end.
        high: Its upper end.
        is_live: It was not removed.
    """

    __slots__ = ("high", "is_live", "item", "low")

    def __init__(self, item: _Item, low: Bound | None, high: Bound | None) -> None:
        """Bring its ends into a form that compares."""
        self.item = item
        self.low: _End = _BELOW_ALL
        self.high: _End = _ABOVE_ALL
        if low is not None:
            self.low = (1, low.value, 0 if low.is_included else 1)
        if high is not None:
            self.high = (1, high.value, 0 if high.is_included else -1)
        self.is_live = True


class Intervals(Generic[_Item]):
    """Intervals of comparable values, each with an item.

    Those that are *indexed* stand in the order of their lower ends, under a binary tree of the
    highest upper end in each part, so that a search goes only where something is found. New ones
    wait in a list that each search goes through, until that has cost as much as making the tree
    anew: then it is made, within a search, so subscribers that come and go do not pay for it.
    """

    __slots__ = ("_count", "_debt", "_highs", "_indexed", "_lows", "_new")

    def __init__(self) -> None:
        """Begin without intervals."""
        self._count = 0
        self._indexed: list[Interval[_Item]] = []
        self._lows: list[_End] = []
        self._highs: list[_End] = [_BELOW_ALL, _BELOW_ALL]
        self._new: dict[Interval[_Item], None] = {}
        self._debt = 0

    def __len__(self) -> int:
        return self._count

    def add(self, item: _Item, low: Bound | None, high: Bound | None) -> Interval[_Item]:
        """Add an interval.

        Args:
            item: What is found; it may have several.
            low: Its lower end; None: it has none.
            high: Its upper end; None: it has none.
        """
        interval = Interval(item, low, high)
        self._new[interval] = None
        self._count += 1
        return interval

    def remove(self, interval: Interval[_Item]) -> None:
        """Take an interval away that was added."""
        interval.is_live = False
        self._new.pop(interval, None)
        self._count -= 1

    def find(self, least: Any, greatest: Any) -> Iterator[_Item]:
        """Return the items whose lower end is met by one value and the upper end by another.

        Args:
            least: The smallest of the values that a document has.
            greatest: The largest; the same if it has one.
        """
        dead = len(self._indexed) + len(self._new) - self._count
        self._debt += len(self._new) + dead
        if self._debt > self._count:
            self._index()
        lowest: _End = (1, least, 0)
        highest: _End = (1, greatest, 0)
        for interval in self._new:
            if interval.low <= highest and interval.high >= lowest:
                yield interval.item
        if self._highs[1] >= lowest:
            yield from self._find_indexed(lowest, bisect_right(self._lows, highest))

    def _find_indexed(self, lowest: _End, count: int) -> Iterator[_Item]:
        """Go through those of the first ``count`` that reach up to ``lowest``."""
        highs = self._highs
        parts = [(1, 0, len(highs) // 2)] if count else []
        while parts:
            node, start, size = parts.pop()
            if size == 1:
                interval = self._indexed[start]
                if interval.is_live:
                    yield interval.item
                continue
            half = size // 2
            if start + half < count and highs[2 * node + 1] >= lowest:
                parts.append((2 * node + 1, start + half, half))
            if highs[2 * node] >= lowest:
                parts.append((2 * node, start, half))

    def _index(self) -> None:
        """Put all that live in order, and make the tree: node ``n`` stands above 2n and 2n + 1."""
        live = [interval for interval in self._indexed if interval.is_live]
        self._indexed = sorted([*live, *self._new], key=lambda interval: interval.low)
        self._new.clear()
        self._debt = 0
        self._lows = [interval.low for interval in self._indexed]
        leaves = 1
        while leaves < len(self._indexed):
            leaves *= 2
        ends = [interval.high for interval in self._indexed]
        highs = [_BELOW_ALL] * leaves + ends + [_BELOW_ALL] * (leaves - len(ends))
        for node in range(leaves - 1, 0, -1):
            highs[node] = max(highs[2 * node], highs[2 * node + 1])
        self._highs = highs
