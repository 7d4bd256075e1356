"""Dotted paths: what ``"a.0.b"`` means in selectors, projections and modifiers."""

from collections.abc import Iterable
from typing import Any, Final, TypeAlias, TypeGuard

from bolide.core.values import Document

__all__ = [
    "MAX_NESTING",
    "Parts",
    "find_conflict",
    "is_array",
    "is_array_index",
    "is_document",
    "join",
    "split",
]

Parts: TypeAlias = tuple[str, ...]
"""A path, cut at its dots."""

MAX_NESTING: Final = 100
"""Most levels of documents and arrays in a document, as MongoDB documents it."""


def split(path: str) -> Parts:
    """Cut a path at its dots."""
    return tuple(path.split("."))


def join(parts: Parts) -> str:
    """Undo :func:`split`."""
    return ".".join(parts)


def is_array_index(part: str) -> bool:
    """Tell whether a part names an array element: digits only, leading zeros allowed."""
    return part.isascii() and part.isdigit()


def is_document(value: object) -> TypeGuard[Document]:
    """Tell whether a path goes on by field names here."""
    return isinstance(value, dict)


# The elements are values of any kind.
def is_array(value: object) -> TypeGuard[list[Any]]:
    """Tell whether a path goes on by array indices here."""
    return isinstance(value, list)


def find_conflict(paths: Iterable[Parts]) -> tuple[Parts, Parts] | None:
    """Find a path that is given twice, or lies inside another.

    Returns:
        The outer and the inner path, or None.
    """
    whole: set[Parts] = set()
    inside: dict[Parts, Parts] = {}
    for parts in paths:
        if parts in whole:
            return parts, parts
        if parts in inside:
            return parts, inside[parts]
        for length in range(1, len(parts)):
            outer = parts[:length]
            if outer in whole:
                return outer, parts
            inside.setdefault(outer, parts)
        whole.add(parts)
    return None
