"""Unique indexes: which keys a document has in one."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from pymongo.errors import WriteError

from bolide.core.keys import Key, key_of
from bolide.core.minimongo.paths import Parts, is_array, is_array_index, is_document, split
from bolide.core.values import Document
from bolide.server.stores.base import IndexSpec
from bolide.server.stores.embedded.errors import CANNOT_INDEX_PARALLEL_ARRAYS

__all__ = ["UniqueIndex", "index_name"]

_MISSING: Final = object()
_EMPTY_ARRAY: Final = object()


def index_name(keys: Sequence[tuple[str, int]]) -> str:
    """Make a name as MongoDB does: ``ward_1_bed_-1``."""
    return "_".join(f"{path}_{direction}" for path, direction in keys)


@dataclass(frozen=True, slots=True)
class _Branch:
    """One path of the index on its way into a document.

    Attributes:
        value: Where it stands.
        rest: What is left of the path.
        depth: How many parts are behind it.
        at_end: The value is the key; an array in it is not expanded any more.
    """

    value: Any
    rest: Parts
    depth: int
    at_end: bool = False


class UniqueIndex:
    """A unique index, compiled once, and its entries.

    A missing field counts as null, an array has a key per element, and fields of one array
    are taken element by element, as MongoDB does.

    Attributes:
        spec: What it was made from.
        name: Its name.
        entries: Key of each document that has one -> key of its ``_id``.
    """

    __slots__ = ("_paths", "entries", "name", "spec")

    def __init__(self, spec: IndexSpec) -> None:
        """Compile an index without entries."""
        self.spec = spec
        self.name = spec.name
        self.entries: dict[Key, Key] = {}
        self._paths = tuple(split(path) for path, _ in spec.keys)

    def keys(self, document: Document) -> dict[Key, tuple[Any, ...]]:
        """Return the document's keys, each with the values it was made from.

        Raises:
            WriteError: If two of the paths lead through different arrays.
        """
        if len(self._paths) == 1 and len(self._paths[0]) == 1:
            value = document.get(self._paths[0][0], _MISSING)
            if not isinstance(value, list):
                return self._leaf((value,))
        return self._expand([_Branch(document, path, 0) for path in self._paths])

    def key_value(self, values: tuple[Any, ...]) -> Document:
        """Return what MongoDB calls ``keyValue``: the values of one key by path."""
        return {path: value for (path, _), value in zip(self.spec.keys, values, strict=True)}

    def _expand(self, branches: list[_Branch]) -> dict[Key, tuple[Any, ...]]:
        """Go down all paths at once, splitting at the first array."""
        branches = [_descend(branch) for branch in branches]
        # Paths that met an array after the same parts met the same array.
        arrays = {
            path[: branch.depth]: branch.value
            for path, branch in zip(self._paths, branches, strict=True)
            if not branch.at_end
        }
        if not arrays:
            return self._leaf(tuple(branch.value for branch in branches))
        if len(arrays) > 1:
            names = " ".join(f"[{'.'.join(parts)}]" for parts in arrays)
            raise WriteError(f"cannot index parallel arrays {names}", CANNOT_INDEX_PARALLEL_ARRAYS)
        [array] = arrays.values()
        keys: dict[Key, tuple[Any, ...]] = {}
        for element in array or [_EMPTY_ARRAY]:
            keys |= self._expand([_enter(branch, element) for branch in branches])
        return keys

    def _leaf(self, values: tuple[Any, ...]) -> dict[Key, tuple[Any, ...]]:
        if self.spec.sparse and all(value is _MISSING for value in values):
            return {}
        key = tuple([_leaf_key(value) for value in values])
        return {key: tuple([_shown(value) for value in values])}


def _leaf_key(value: Any) -> Key:
    if value is _MISSING:
        return None
    return value if value is _EMPTY_ARRAY else key_of(value)


def _shown(value: Any) -> Any:
    return None if value is _MISSING or value is _EMPTY_ARRAY else value


def _descend(branch: _Branch) -> _Branch:
    """Follow a path through documents, until its end or an array that has to be split."""
    if branch.at_end:
        return branch
    value, rest, depth = branch.value, branch.rest, branch.depth
    while rest:
        if is_array(value):
            if not (is_array_index(rest[0]) and int(rest[0]) < len(value)):
                return _Branch(value, rest, depth)
            value = value[int(rest[0])]
        elif is_document(value) and rest[0] in value:
            value = value[rest[0]]
        else:
            return _Branch(_MISSING, (), depth, at_end=True)
        rest, depth = rest[1:], depth + 1
    return _Branch(value, (), depth, at_end=not isinstance(value, list))


def _enter(branch: _Branch, element: Any) -> _Branch:
    """Take one element of the array that the branch stands at."""
    if branch.at_end:
        return branch
    if not branch.rest:
        return replace(branch, value=element, at_end=True)
    if isinstance(element, dict):
        return replace(branch, value=element)
    return replace(branch, value=_MISSING, at_end=True)
