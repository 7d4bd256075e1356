"""Access filters as every store applies them: what is added to selectors, which writes are refused.

A filter says that of a collection only the documents exist whose access scope is open. A scope is
a string: a document whose field holds anything else, an array of scopes included, is in no scope.
"""

from collections.abc import Mapping
from typing import Any, ClassVar, Final

from pymongo.errors import OperationFailure

from bolide.server.stores.base import (
    AccessFilter,
    Delete,
    FindAndModify,
    Insert,
    Query,
    Update,
    WriteOperation,
)

__all__ = ["AccessRefused", "effective_selector", "is_refused", "restricted"]

_UNAUTHORIZED: Final = 13  # MongoDB's number
_SETTERS: Final = ("$set", "$setOnInsert")


class AccessRefused(OperationFailure):
    """A write would have made or moved a document outside the open access scopes.

    The text is the same whatever was refused.
    """

    text: ClassVar[str] = "The write would leave the open access scopes."

    def __init__(self) -> None:
        """Take nothing: what was refused is data."""
        super().__init__(self.text, _UNAUTHORIZED)


def effective_selector(asked: Query | Update | Delete | FindAndModify) -> Mapping[str, Any]:
    """Return the selector of a query or write with its access filter as one more conjunct.

    Args:
        asked: A query, or a write that has a selector.

    Returns:
        The selector itself if there is no filter; its top-level conditions stay where they are.
    """
    return asked.selector if asked.access is None else restricted(asked.selector, asked.access)


def restricted(selector: Mapping[str, Any], access: AccessFilter) -> Mapping[str, Any]:
    """Return a selector that finds the same, but only in the open access scopes.

    Args:
        selector: MongoDB selector.
        access: Which scopes are open.
    """
    # An array that holds a scope matches ``$in``, too; it has an element 0, and a string has none.
    only: dict[str, Any] = {
        access.field: {"$in": sorted(access.scopes)},
        f"{access.field}.0": {"$exists": False},
    }
    if only.keys().isdisjoint(selector):
        return {**selector, **only}
    others = selector.get("$and", [])
    if isinstance(others, list) and (others or "$and" not in selector):
        return {**selector, "$and": [*others, only]}
    # What does not compile must not begin to.
    return {"$and": [selector, only]}


def is_refused(operation: WriteOperation) -> bool:
    """Tell whether an operation has to be refused before any document is looked at.

    What an upsert makes when nothing matches is for the store to check
    (:meth:`AccessFilter.admits`).

    Args:
        operation: With or without an access filter.
    """
    access = operation.access
    if access is None:
        return False
    match operation:
        case Insert(documents=documents):
            return not all(map(access.admits, documents))
        case Update(modifier=modifier) | FindAndModify(modifier=modifier):
            return modifier is not None and _may_leave(modifier, access)
        case Delete():
            return False


def _may_leave(modifier: Mapping[str, Any], access: AccessFilter) -> bool:
    """Tell whether a modifier or replacement may give a document another scope than an open one."""
    if not any(name.startswith("$") for name in modifier):
        return not access.admits(modifier)
    return any(
        not (name in _SETTERS and path == access.field and access.admits({path: value}))
        for name, operand in modifier.items()
        for path, value in _entries(operand).items()
        if access.field in (_top(path), _top(value) if name == "$rename" else None)
    )


# What stands in a modifier has no static type.
def _entries(operand: object) -> Mapping[Any, Any]:
    """Return the paths of an operator; an operand that has none does not compile anyway."""
    if not isinstance(operand, Mapping):
        return {}
    entries: Mapping[Any, Any] = operand  # pyright: ignore[reportUnknownVariableType]
    return entries


def _top(path: object) -> str | None:
    """Return the top-level field of a path; a path that is none does not compile anyway."""
    return path.partition(".")[0] if isinstance(path, str) else None
