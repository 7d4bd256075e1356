"""Which paths of documents live queries look at: what changed elsewhere need not be read.

A path is taken without its indices, which may also be names: ``a.0.b`` and ``a.b`` are the same.
So no change is overlooked, and now and then a document is read in which nothing changed for them.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bolide.core.minimongo.paths import Parts, is_array_index, split
from bolide.core.minimongo.projection import Projection

__all__ = ["Interest", "Paths", "as_changed", "interest_in"]


@dataclass(frozen=True, slots=True)
class Interest:
    """What a live query looks at.

    Attributes:
        asked: Paths that decide whether and where a document is in the result.
        shown: Paths of a document in the result that are published; None: all.
    """

    asked: frozenset[Parts]
    shown: frozenset[Parts] | None

    def is_in(self, changed: Sequence[Parts]) -> bool:
        """Tell whether it may see changes of a document that is in the result."""
        if self.shown is None:
            return True
        return any(
            path[: len(other)] == other or other[: len(path)] == path
            for path in changed
            for other in (*self.asked, *self.shown)
        )


def interest_in(asked: Iterable[str], projection: Projection) -> Interest:
    """Return what a live query looks at.

    Args:
        asked: The paths of its selector, the one for access included, and of its sort.
        projection: Its projection.
    """
    shown = frozenset(map(_without_indices, projection.paths)) if projection.including else None
    return Interest(frozenset(map(_without_indices, asked)), shown)


def as_changed(paths: Iterable[str]) -> Sequence[Parts]:
    """Return paths that changed as they are compared."""
    return [_without_indices(path) for path in paths]


class Paths:
    """Paths that somebody looks at, each as often as it was added."""

    def __init__(self) -> None:
        """Begin with none."""
        self._paths: Counter[Parts] = Counter()
        # What leads to one of them.
        self._leading: Counter[Parts] = Counter()

    def add(self, paths: Iterable[Parts]) -> None:
        """Look at paths."""
        for path in paths:
            self._paths[path] += 1
            self._leading.update(path[:length] for length in range(len(path)))

    def remove(self, paths: Iterable[Parts]) -> None:
        """Look no more at paths that were added."""
        for path in paths:
            _take_one(self._paths, path)
            for length in range(len(path)):
                _take_one(self._leading, path[:length])

    def see(self, changed: Iterable[Parts]) -> bool:
        """Tell whether a change may be seen at one of them: one path leads to the other."""
        return any(map(self._sees, changed))

    def _sees(self, changed: Parts) -> bool:
        if changed in self._leading:
            return True
        return any(changed[:length] in self._paths for length in range(len(changed) + 1))


def _without_indices(path: str) -> Parts:
    return tuple([part for part in split(path) if not is_array_index(part)])


def _take_one(counts: Counter[Parts], path: Parts) -> None:
    counts[path] -= 1
    if not counts[path]:
        del counts[path]
