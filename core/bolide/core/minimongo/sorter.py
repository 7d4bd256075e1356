"""Sorting: the order that a sort specification gives to documents."""

from collections.abc import Iterator, Sequence
from enum import Enum, auto
from functools import cmp_to_key

# A specification comes from applications and clients; the values compared are of any kind.
from typing import Any, Final, NamedTuple, TypeAlias, TypeGuard

from bolide.core.minimongo.branches import Lookup
from bolide.core.minimongo.compare import compare
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.paths import is_array, is_document
from bolide.core.values import UNDEFINED, Document

__all__ = ["EMPTY_ARRAY", "SortKey", "Sorter", "with_id"]


class _EmptyArray(Enum):
    """The type of :data:`EMPTY_ARRAY`."""

    EMPTY_ARRAY = auto()


EMPTY_ARRAY: Final = _EmptyArray.EMPTY_ARRAY
"""The key of an array without elements; an array within an array is a key itself, empty or not."""

SortKey: TypeAlias = tuple[Any, ...]
"""One value for each path of a specification, UNDEFINED for what is missing."""

_Column: TypeAlias = dict[tuple[int, ...], Any]
"""What one path finds, by the array elements on the way; the key is ``()`` without arrays."""

_ASCENDING: Final[tuple[object, ...]] = (1, "asc", "ascending")
_DESCENDING: Final[tuple[object, ...]] = (-1, "desc", "descending")


def with_id(sort: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """Let ``_id`` decide between equal documents, so that a window has one answer only."""
    return [*sort] if any(path == "_id" for path, _ in sort) else [*sort, ("_id", 1)]


class _Part(NamedTuple):
    path: str
    direction: int
    lookup: Lookup


class Sorter:
    """A sort specification, compiled once.

    A path that leads into an array gives the document several keys, of which the first in the
    order counts: the least element if ascending, the greatest if descending. The selector has no
    say in it. As in MongoDB, null and what is missing are a tie, and an empty array comes before
    them.

    Attributes:
        paths: The dotted paths that the order depends on.
    """

    __slots__ = ("_is_alone", "_parts", "_wrap", "paths")

    def __init__(self, spec: Any) -> None:
        """Compile a specification.

        Args:
            spec: ``{"a": 1, "b": -1}``, ``[("a", 1), ["b", "desc"]]`` or ``["a", "b"]``.

        Raises:
            MinimongoError: If it is none of these.
        """
        self._parts = [
            _Part(path, direction, Lookup(path, for_sort=True)) for path, direction in _pairs(spec)
        ]
        # MongoDB opens an empty array that is an element, unless it opens other arrays, too.
        self._is_alone = sum(part.path != "_id" for part in self._parts) == 1
        self._wrap = cmp_to_key(self._compare_keys)
        self.paths = tuple(part.path for part in self._parts)

    # What cmp_to_key() makes has no name to declare.
    def key(self, document: Document) -> Any:
        """Return what ``sorted(key=...)`` compares; it reads the document only once.

        Raises:
            MinimongoError: If two paths lead into different arrays.
        """
        return self._wrap(self._first_key(document))

    def compare(self, a: Document, b: Document) -> int:
        """Return -1 if a document comes before another, 1 if after it, 0 if they are a tie.

        Raises:
            MinimongoError: If two paths lead into different arrays, or regular expressions meet.
        """
        return self._compare_keys(self._first_key(a), self._first_key(b))

    def keys(self, document: Document) -> list[SortKey]:
        """Return all keys of a document, in no particular order.

        Raises:
            MinimongoError: If two paths lead into different arrays, or one names an element of an
                array whose other elements the other one reads.
        """
        columns = [_column(part.lookup, document, self._is_alone) for part in self._parts]
        inside = [column.keys() for column in columns if () not in column]
        if not inside:
            return [tuple(column[()] for column in columns)]
        if any(indices != inside[0] for indices in inside):
            raise MinimongoError("Documents cannot be sorted by two arrays at once.")
        return [
            tuple(column[()] if () in column else column[indices] for column in columns)
            for indices in inside[0]
        ]

    def _first_key(self, document: Document) -> SortKey:
        keys = [tuple(map(_place, key)) for key in self.keys(document)]
        return keys[0] if len(keys) == 1 else min(keys, key=self._wrap)

    def _compare_keys(self, a: SortKey, b: SortKey) -> int:
        for part, x, y in zip(self._parts, a, b, strict=True):
            result = compare(x, y)
            if result:
                return result * part.direction
        return 0


def _place(value: Any) -> Any:
    """Make what is missing a tie with null, and an empty array come before both."""
    if value is UNDEFINED:
        return None
    return UNDEFINED if value is EMPTY_ARRAY else value


def _pairs(spec: Any) -> Iterator[tuple[str, int]]:
    """Read a specification as paths with 1 or -1."""
    if is_document(spec):
        for path, direction in spec.items():
            yield _checked_path(path), _checked_direction(path, direction)
        return
    items = _items(spec)
    if items is None:
        raise _bad_specification()
    for item in items:
        pair = [item, 1] if isinstance(item, str) else _items(item)
        if pair is None or len(pair) != 2 or not isinstance(pair[0], str):
            raise _bad_specification()
        yield _checked_path(pair[0]), _checked_direction(pair[0], pair[1])


def _items(value: Any) -> list[Any] | None:
    """Return what a list or tuple holds."""
    return list(value) if _is_tuple(value) or is_array(value) else None


def _is_tuple(value: object) -> TypeGuard[tuple[Any, ...]]:
    return isinstance(value, tuple)


def _bad_specification() -> MinimongoError:
    return MinimongoError("A sort must be an object, or a list of paths with directions.")


def _checked_path(path: str) -> str:
    if not path:
        raise MinimongoError("A sort path cannot be empty.")
    if path.startswith("$"):
        raise MinimongoError(f"Sorting by {path} is not supported here; it needs MongoDB.")
    return path


def _checked_direction(path: str, direction: object) -> int:
    if direction is not True and direction in _ASCENDING:
        return 1
    if direction in _DESCENDING:
        return -1
    raise MinimongoError(f'The direction of the sort by {path!r} must be 1, -1, "asc" or "desc".')


def _column(lookup: Lookup, document: Document, opens_elements: bool) -> _Column:
    column: _Column = {}
    for value, indices, is_whole in lookup.find(document):
        if is_array(value) and not value and (opens_elements or not is_whole):
            column[indices] = EMPTY_ARRAY
        elif is_whole or not is_array(value):
            column[indices] = value
        else:
            column.update(((*indices, index), element) for index, element in enumerate(value))
    return column or {(): UNDEFINED}
