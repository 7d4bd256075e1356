"""What a dotted path finds in a document: several values, if there are arrays on the way."""

from collections.abc import Iterable, Iterator

# The values found are of any kind.
from typing import Any, Final, NamedTuple

from bolide.core.minimongo.paths import is_array, is_array_index, is_document, split
from bolide.core.values import UNDEFINED, Document

__all__ = ["Branch", "Lookup", "expand", "positions"]

# No array is as long as an index of more digits asks for.
_MAX_INDEX_DIGITS: Final = 10


class Branch(NamedTuple):
    """One value that a path leads to.

    Attributes:
        value: The value; UNDEFINED where the document ends early.
        indices: The array elements on the way; ``~index`` where the path itself names the index.
        is_whole: The value is an array element that the path names by its index: if it is an array
            in its turn, its own elements are not meant.
    """

    value: Any
    indices: tuple[int, ...] = ()
    is_whole: bool = False


class Lookup:
    """A path, compiled once.

    Below an array, a number names an element; any part names a field of every document in it.
    For sorting, a number means the element only. An index that an array does not have leads to
    nothing, which is not the same as UNDEFINED: it does not equal null.

    Attributes:
        names: The parts of the path.
    """

    __slots__ = ("_for_sort", "_indices", "names")

    def __init__(self, path: str, *, for_sort: bool = False) -> None:
        """Compile a path such as ``"a.0.b"``."""
        self.names = split(path)
        self._indices = [
            int(name) if is_array_index(name) and len(name) <= _MAX_INDEX_DIGITS else None
            for name in self.names
        ]
        self._for_sort = for_sort

    def find(self, container: Document | list[Any]) -> list[Branch]:
        """Return every value that the path leads to in a document, or in an array."""
        found: list[Branch] = []
        self._find(container, 0, (), found)
        return found

    def _find(
        self,
        container: Document | list[Any],
        depth: int,
        indices: tuple[int, ...],
        found: list[Branch],
    ) -> None:
        in_array = isinstance(container, list)
        if isinstance(container, list):
            index = self._indices[depth]
            if index is None or index >= len(container):
                return
            indices = (*indices, ~index)
            value = container[index]
        else:
            value = container.get(self.names[depth], UNDEFINED)
        depth += 1
        if depth == len(self.names):
            found.append(Branch(value, indices, in_array))
        elif is_document(value):
            self._find(value, depth, indices, found)
        elif is_array(value):
            self._find(value, depth, indices, found)
            self._find_in_elements(value, depth, indices, found)
        elif not in_array:
            found.append(Branch(UNDEFINED, indices))

    def _find_in_elements(
        self, array: list[Any], depth: int, indices: tuple[int, ...], found: list[Branch]
    ) -> None:
        if self._for_sort and self._indices[depth] is not None:
            return
        for index, element in enumerate(array):
            if is_document(element):
                self._find(element, depth, (*indices, index), found)
            elif self._for_sort:
                found.append(Branch(UNDEFINED, (*indices, index)))


def expand(branches: Iterable[Branch], *, keep_arrays: bool) -> Iterator[Branch]:
    """Go on to the elements of the arrays found.

    Args:
        branches: What :meth:`Lookup.find` returned.
        keep_arrays: An array comes too, before its elements; False: only its elements come.
    """
    for branch in branches:
        value, indices, is_whole = branch
        if is_whole or not is_array(value):
            yield branch
            continue
        if keep_arrays:
            yield branch
        for index, element in enumerate(value):
            yield Branch(element, (*indices, index))


def positions(indices: tuple[int, ...]) -> tuple[int, ...]:
    """Return the plain indices of :attr:`Branch.indices`."""
    return tuple(index if index >= 0 else ~index for index in indices)
