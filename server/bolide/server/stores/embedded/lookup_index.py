"""Indexes that queries use: which documents may match, found without looking at the others.

An index answers with a superset of the documents that match; the matcher decides. Its keys are the
values that the matcher itself would find at a path (:class:`Lookup`), not the keys MongoDB would
make, so that a corner in which the two differ cannot hide a document.
"""

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Iterator, Sequence
from itertools import product
from math import prod
from typing import Any, Final, TypeAlias

from bolide.core.keys import Key
from bolide.core.minimongo.branches import Lookup, expand
from bolide.core.values import UNDEFINED, Document
from bolide.server.stores.base import IndexSpec
from bolide.server.stores.embedded.bounds import (
    NO_KEY,
    Bounds,
    PathBounds,
    place_of,
    scalar_key,
)

__all__ = ["LookupIndex", "can_answer", "choose"]

MAX_COMBINATIONS: Final = 64
"""Most combinations of array elements that a compound index keeps for one document, and most
combinations of ``$in`` lists that a query asks it for."""


class LookupIndex:
    """Which documents have which values at the paths of an index.

    Attributes:
        spec: What it was made from.
    """

    __slots__ = ("_buckets", "_loose", "_many", "_ordered", "_paths", "spec")

    def __init__(self, spec: IndexSpec, documents: Iterable[tuple[Key, Document]] = ()) -> None:
        """Make an index of documents, given with the keys of their ``_id``."""
        self.spec = spec
        self._paths = [_Path(path) for path, _ in spec.keys]
        # One for the first path alone, one for the first two ...; the first has bare keys.
        self._buckets: list[dict[Key, _Bucket]] = [{} for _ in spec.keys]
        # In order, for ranges of the first path; by type, made when one is asked for.
        self._ordered: dict[str, list[Any]] = {}
        # Documents with several values at the first path.
        self._many: set[Key] = set()
        # Documents with too many combinations: only the first path finds them.
        self._loose: set[Key] = set()
        for key, document in documents:
            self.add(key, document)

    def add(self, key: Key, document: Document) -> None:
        """Take in a document that is not there."""
        self._put(key, self._values(document))

    def remove(self, key: Key, document: Document) -> None:
        """Forget a document, given as it was when it came."""
        self._drop(key, self._values(document))

    def move(self, key: Key, before: Document | None, after: Document | None) -> None:
        """Follow a change; None is a document that is not there."""
        old = None if before is None else self._values(before)
        new = None if after is None else self._values(after)
        if old != new:
            if old is not None:
                self._drop(key, old)
            if new is not None:
                self._put(key, new)

    def count(self, bounds: Bounds) -> int:
        """Return how many documents :meth:`find` would give, repetitions included."""
        depth, keys = self._asked(bounds)
        if depth:
            loose = len(self._loose) if depth > 1 else 0
            return loose + sum(len(self._buckets[depth - 1].get(key, ())) for key in keys)
        first = self._buckets[0]
        return sum(len(first[key]) for key in self._in_range(bounds[self.spec.keys[0][0]]))

    def find(self, bounds: Bounds) -> set[Key]:
        """Return the keys of all documents that can match; it can answer these bounds."""
        depth, keys = self._asked(bounds)
        found: set[Key] = set()
        if depth:
            buckets = self._buckets[depth - 1]
            if depth > 1:
                found |= self._loose
            for key in keys:
                found.update(buckets.get(key, ()))
        else:
            for key in self._in_range(bounds[self.spec.keys[0][0]]):
                found.update(self._buckets[0][key])
        return found

    def _asked(self, bounds: Bounds) -> tuple[int, Sequence[Key]]:
        """Return how many paths are bound to values, and the keys to look up for these."""
        lists: list[tuple[Key, ...]] = []
        for path, _ in self.spec.keys:
            bound = bounds.get(path)
            if bound is None or bound.values is None:
                break
            if lists and prod(map(len, lists)) * len(bound.keys) > MAX_COMBINATIONS:
                break
            lists.append(bound.keys)
        return len(lists), lists[0] if len(lists) == 1 else list(product(*lists))

    def _in_range(self, bound: PathBounds) -> Iterator[Key]:
        low, high = bound.low, bound.high
        if low is not None:
            kind = low[0]
        else:
            assert high is not None
            kind = high[0]
        ordered = self._order(kind)
        start = 0 if low is None else bisect_left(ordered, low[1])
        stop = len(ordered) if high is None else bisect_right(ordered, high[1])
        if self._many and low is not None and high is not None:
            # One element may be above the one limit and another one below the other.
            if len(ordered) - start < stop:
                stop = len(ordered)
            else:
                start = 0
        for place in ordered[start:stop]:
            yield place if kind == "string" else (kind, place)

    def _order(self, kind: str) -> list[Any]:
        ordered = self._ordered.get(kind)
        if ordered is None:
            places = map(place_of, self._buckets[0])
            ordered = sorted(place[1] for place in places if place and place[0] == kind)
            self._ordered[kind] = ordered
        return ordered

    def _values(self, document: Document) -> list[tuple[Key, ...]] | None:
        """Return the keys at each path; None if a sparse index leaves the document out."""
        if self.spec.sparse and not any(path.is_there(document) for path in self._paths):
            return None
        return [path.keys(document) for path in self._paths]

    def _put(self, key: Key, values: list[tuple[Key, ...]] | None) -> None:
        if values is None:
            return
        first = self._buckets[0]
        for value in values[0]:
            if value not in first:
                self._place(value)
            _add(first, value, key)
        if len(values[0]) > 1:
            self._many.add(key)
        if len(values) == 1:
            return
        if _combinations(values) > MAX_COMBINATIONS:
            self._loose.add(key)
            return
        for depth in range(2, len(values) + 1):
            for combined in product(*values[:depth]):
                _add(self._buckets[depth - 1], combined, key)

    def _drop(self, key: Key, values: list[tuple[Key, ...]] | None) -> None:
        if values is None:
            return
        first = self._buckets[0]
        for value in values[0]:
            _discard(first, value, key)
            if value not in first:
                self._displace(value)
        self._many.discard(key)
        if len(values) == 1 or key in self._loose:
            self._loose.discard(key)
            return
        for depth in range(2, len(values) + 1):
            for combined in product(*values[:depth]):
                _discard(self._buckets[depth - 1], combined, key)

    def _place(self, value: Key) -> None:
        """Put a new value of the first path into its order, if that exists."""
        if self._ordered and (place := place_of(value)) and place[0] in self._ordered:
            insort(self._ordered[place[0]], place[1])

    def _displace(self, value: Key) -> None:
        if self._ordered and (place := place_of(value)) and place[0] in self._ordered:
            ordered = self._ordered[place[0]]
            del ordered[bisect_left(ordered, place[1])]


def choose(
    indexes: Iterable[tuple[LookupIndex, ...]], bounds: Bounds, total: int
) -> tuple[LookupIndex, ...] | None:
    """Return the index that leaves the fewest documents to look at.

    Args:
        indexes: Each in one or more layers, which hold different documents.
        bounds: What is asked.
        total: How many documents there are.

    Returns:
        Its layers; None if looking at all is as good.
    """
    best: tuple[LookupIndex, ...] | None = None
    least = total + 1
    for layers in indexes:
        count = sum(index.count(bounds) for index in layers)
        if count < least:
            best, least = layers, count
    # Candidates have to be put into order, which costs about as much as looking at them.
    return best if least * 2 <= total or total <= MAX_COMBINATIONS else None


def can_answer(spec: IndexSpec, bounds: Bounds) -> bool:
    """Tell whether an index finds all documents that match."""
    leading = bounds.get(spec.keys[0][0])
    if leading is None:
        return False
    # A sparse index does not have the documents in which all its fields are absent.
    return not (spec.sparse and None in leading.keys)


class _Several(set[Key]):
    """The documents of a value that more than one has; most values of most indexes have one."""


_Bucket: TypeAlias = tuple[Key] | _Several


def _add(buckets: dict[Key, _Bucket], value: Key, key: Key) -> None:
    bucket = buckets.get(value)
    if bucket is None:
        buckets[value] = (key,)
    elif isinstance(bucket, _Several):
        bucket.add(key)
    else:
        buckets[value] = _Several((*bucket, key))


def _discard(buckets: dict[Key, _Bucket], value: Key, key: Key) -> None:
    bucket = buckets[value]
    if isinstance(bucket, _Several) and len(bucket) > 1:
        bucket.discard(key)
    else:
        del buckets[value]


def _combinations(values: list[tuple[Key, ...]]) -> int:
    return max(prod(map(len, values[:depth])) for depth in range(1, len(values) + 1))


class _Path:
    """A path, compiled once."""

    __slots__ = ("_lookup", "_name")

    def __init__(self, path: str) -> None:
        self._lookup = Lookup(path)
        self._name = path if len(self._lookup.names) == 1 else None

    def keys(self, document: Document) -> tuple[Key, ...]:
        """Return the key of each scalar that the matcher finds there, without repetition."""
        if self._name is not None:
            value = document.get(self._name, UNDEFINED)
            if not isinstance(value, list):
                key = scalar_key(value)
                return () if key is NO_KEY else (key,)
        found = expand(self._lookup.find(document), keep_arrays=False)
        keys = dict.fromkeys(scalar_key(branch.value) for branch in found)
        keys.pop(NO_KEY, None)
        return tuple(keys)

    def is_there(self, document: Document) -> bool:
        """Tell whether the path leads to anything, null included."""
        return any(branch.value is not UNDEFINED for branch in self._lookup.find(document))
