"""What a child function asked for, and how the wants of siblings become one query.

Two wants of one child function go into one query if they are on the same collection, with the same
projection and children, without sort, limit and skip, and if their selectors are equal but for the
values of one field, the *pivot*: ``{"kind": 1, "of": "a"}`` and ``{"kind": 1, "of": "b"}`` become
``{"kind": 1, "of": {"$in": ["a", "b"]}}``. A document is in the result exactly if it is in one of
theirs.
"""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import FunctionType, MethodType
from typing import Any, Final, cast

from bolide.core.keys import Key, key_of
from bolide.core.minimongo.paths import is_array, is_document
from bolide.core.values import Regex
from bolide.server.collections.cursor import ChildFunction, Cursor
from bolide.server.stores.base import Query

__all__ = ["ONCE", "Wanted", "functions_key", "merged_query", "read_wanted"]

ONCE: Final[Mapping[Key, Any]] = {(): None}
"""The values of a want without a pivot: it is wanted, or it is not."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One want.

    Attributes:
        key: Equal for wants that go into one query.
        query: As the child function wrote it.
        children: Child functions of its documents.
        pivot: The field whose values differ between siblings; None: it cannot be merged.
        values: The wanted values of the pivot, by key.
    """

    key: Hashable
    query: Query
    children: tuple[ChildFunction, ...]
    pivot: str | None
    # Values of documents have no static type.
    values: Mapping[Key, Any]


def read_wanted(cursor: Cursor, read: Mapping[str, Any]) -> Wanted:
    """Find out what a cursor wants, and by which field it may be merged with its siblings.

    Args:
        cursor: What a child function returned.
        read: What it read of its parent, by name; tells the pivot from constants.
    """
    query, children = cursor.admitted(), cursor.children
    projection = None if query.projection is None else key_of(dict(query.projection))
    common = (query.collection, projection, query.access, functions_key(children))
    selector = dict(query.selector)
    pivot = None if query.sort or query.limit or query.skip else _pivot(selector, read)
    if pivot is None:
        own = (key_of(selector), query.sort, query.skip, query.limit)
        return Wanted((*common, None, *own), query, children, None, ONCE)
    values = {key_of(value): value for value in _values(selector[pivot]) or ()}
    rest = key_of({**selector, pivot: None})
    return Wanted((*common, pivot, rest), query, children, pivot, values)


def merged_query(wanted: Wanted, values: Mapping[Key, Any]) -> Query:
    """Return the query of all wants with one key.

    Args:
        wanted: One of them.
        values: The values of the pivot that they want together; at least one.
    """
    if wanted.pivot is None:
        return wanted.query
    # The order must not depend on who came first: equal queries are shared.
    ordered = [values[key] for key in sorted(values, key=hash)]
    condition = ordered[0] if len(ordered) == 1 else {"$in": ordered}
    return replace(wanted.query, selector={**wanted.query.selector, wanted.pivot: condition})


def functions_key(functions: Sequence[ChildFunction]) -> Hashable:
    """Return a key that is equal for child functions that do the same.

    A ``lambda`` inside of a child function is a new object each time; two are the same if their
    code is, and everything that they captured.
    """
    return tuple([_function_key(function) for function in functions])


class _Same:
    """Equal only to the very same object, which it keeps alive."""

    __slots__ = ("_object",)

    def __init__(self, object: object) -> None:
        self._object = object

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self._object is other._object

    def __hash__(self) -> int:
        return id(self._object)


def _function_key(function: ChildFunction) -> Hashable:
    if isinstance(function, MethodType):
        return (_Same(function.__func__), _Same(function.__self__))
    if not isinstance(function, FunctionType):
        return _Same(function)
    captured = [cell.cell_contents for cell in function.__closure__ or ()]
    defaults = [*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()]
    return (function.__code__, *map(_Same, captured), None, *map(_Same, defaults))


def _pivot(selector: Mapping[str, Any], read: Mapping[str, Any]) -> str | None:
    """Choose the field whose values differ between siblings."""
    candidates = [field for field, condition in selector.items() if _values(condition) is not None]
    if len(candidates) < 2:
        return candidates[0] if candidates else None
    own = {key_of(read["_id"])} if "_id" in read else set[Key]()
    known = {key_of(part) for value in read.values() for part in _parts(value)}

    def rank(field: str) -> tuple[int, bool]:
        keys = {key_of(value) for value in _values(selector[field]) or ()}
        return (0 if keys & own else 1 if keys & known else 2, field != "_id")

    return min(candidates, key=rank)


def _parts(value: Any) -> Iterator[Any]:
    """Go through a value and what is directly in it."""
    yield value
    if isinstance(value, dict):
        yield from cast("Mapping[str, Any]", value).values()
    elif isinstance(value, list):
        yield from cast("Sequence[Any]", value)


def _values(condition: Any) -> list[Any] | None:
    """Return the values that a condition asks for; None if it is more than equality."""
    values = [condition]
    if is_document(condition):
        if list(condition) == ["$in"] and is_array(condition["$in"]):
            values = condition["$in"]
        elif list(condition) == ["$eq"]:
            values = [condition["$eq"]]
    return values if all(map(_is_plain, values)) else None


def _is_plain(value: Any) -> bool:
    """Tell whether a value means the same alone and in ``$in``."""
    if isinstance(value, dict):
        return not any(name.startswith("$") for name in cast("Mapping[str, Any]", value))
    return not isinstance(value, Regex)
