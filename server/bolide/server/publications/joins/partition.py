"""A set of values, cut into chunks of a bounded size.

Which chunk a value is in depends on the set alone and not on its history, so that two
subscriptions with the same parents ask the same questions and share their live queries. A chunk
that grows beyond the bound is cut in two by the next bit of the values' hashes; two halves that
fit together become one again. So a value that comes or goes alters one chunk, or the two that it
cuts or joins, whatever the size of the set.
"""

from collections.abc import Mapping
from typing import Any, Final, TypeAlias

from bolide.core.keys import Key

__all__ = ["Chunk", "Partition", "Place"]

Place: TypeAlias = tuple[int, int]
"""Which chunk: how many bits of the hash, and these bits."""

# Values of documents have no static type.
Chunk: TypeAlias = dict[Key, Any]
"""Values by their keys."""

_WHOLE: Final = (0, 0)
_MOST_BITS: Final = 48
"""Values with that many bits in common stay together, however many they are."""


class Partition:
    """Values in chunks.

    Args:
        most: Most values in one chunk.
    """

    __slots__ = ("_altered", "_chunks", "_most")

    def __init__(self, most: int) -> None:
        """Begin with an empty set."""
        self._most = most
        self._chunks: dict[Place, Chunk] = {_WHOLE: {}}
        self._altered: dict[Place, None] = {}

    def __len__(self) -> int:
        return sum(map(len, self._chunks.values()))

    @property
    def chunks(self) -> Mapping[Place, Chunk]:
        """All chunks; the only one of an empty set is empty."""
        return self._chunks

    def take_altered(self) -> dict[Place, Chunk]:
        """Hand over the chunks that were altered since the last call; empty where none is left."""
        altered, self._altered = self._altered, {}
        return {place: self._chunks.get(place, {}) for place in altered}

    def add(self, key: Key, value: Any) -> None:
        """Add a value that is not in the set.

        Args:
            key: Of the value, as ``key_of`` makes it.
            value: The value.
        """
        place = self._place(key)
        chunk = self._chunks[place]
        chunk[key] = value
        self._altered[place] = None
        self._cut(place)

    def remove(self, key: Key) -> None:
        """Remove a value that is in the set."""
        place = self._place(key)
        del self._chunks[place][key]
        self._altered[place] = None
        self._join(place)

    def _place(self, key: Key) -> Place:
        place, bits = _WHOLE, hash(key)
        while place not in self._chunks:
            count = place[0] + 1
            place = (count, bits & ((1 << count) - 1))
        return place

    def _cut(self, place: Place) -> None:
        count, bits = place
        if len(self._chunks[place]) <= self._most or count == _MOST_BITS:
            return
        halves = (count + 1, bits), (count + 1, bits | 1 << count)
        for half in halves:
            self._chunks[half] = {}
            self._altered[half] = None
        for key, value in self._chunks.pop(place).items():
            self._chunks[halves[hash(key) >> count & 1]][key] = value
        for half in halves:
            self._cut(half)

    def _join(self, place: Place) -> None:
        count, bits = place
        if not count:
            return
        other = (count, bits ^ 1 << (count - 1))
        if other not in self._chunks:
            return
        if len(self._chunks[place]) + len(self._chunks[other]) > self._most:
            return
        whole = (count - 1, bits & ((1 << (count - 1)) - 1))
        self._chunks[whole] = self._chunks.pop(place) | self._chunks.pop(other)
        self._altered.update({whole: None, other: None})
        self._join(whole)
