"""PyMongo's ways to write a query, made into the store port's."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, cast

from bolide.core.values import Document, normalize

__all__ = [
    "ProjectionSpec",
    "SortSpec",
    "copied",
    "count_of",
    "document_of",
    "projection_of",
    "selector_of",
    "sort_of",
]

SortSpec: TypeAlias = str | Sequence[str | tuple[str, int]] | Mapping[str, int]
"""``"bed"``, ``[("bed", 1), ("name", -1)]`` or ``{"bed": 1}``."""

ProjectionSpec: TypeAlias = Sequence[str] | Mapping[str, Any]
"""``["bed", "name"]`` or a MongoDB projection such as ``{"notes": 0}``."""


def sort_of(spec: SortSpec | None) -> tuple[tuple[str, int], ...]:
    """Write a sort specification as the store port has it.

    Args:
        spec: In any form that PyMongo takes; None is no order.

    Raises:
        ValueError: If a direction is neither 1 nor -1.
    """
    if spec is None:
        return ()
    if isinstance(spec, str):
        return ((spec, 1),)
    pairs = (
        list(spec.items())
        if isinstance(spec, Mapping)
        else [(key, 1) if isinstance(key, str) else key for key in spec]
    )
    for path, direction in pairs:
        if direction not in (1, -1):
            raise ValueError(f"The sort direction of {path} must be 1 or -1.")
    return tuple([(path, int(direction)) for path, direction in pairs])


def projection_of(spec: ProjectionSpec | None) -> Mapping[str, Any] | None:
    """Write a projection as the store port has it.

    Args:
        spec: A mapping as it is; names are those to include; None is whole documents.
    """
    if spec is None or isinstance(spec, Mapping):
        return spec
    return dict.fromkeys(spec, 1) or {"_id": 1}


# Values of documents have no static type.
def copied(value: Any) -> Any:
    """Copy the containers of a value: documents of a store are shared, an app's are its own."""
    if isinstance(value, dict):
        return {name: copied(inner) for name, inner in cast("Mapping[str, Any]", value).items()}
    if isinstance(value, list):
        return [copied(element) for element in cast("Sequence[Any]", value)]
    return value


def selector_of(selector: Mapping[str, Any] | None) -> Document:
    """Write a selector as the store port has it.

    Args:
        selector: A MongoDB selector; None is ``{}``.

    Raises:
        TypeError: If it is no mapping.
    """
    return {} if selector is None else document_of(selector, "a selector")


def document_of(document: Mapping[str, Any], what: str) -> Document:
    """Copy a document, selector or modifier, with all values as the value model has them.

    Args:
        document: A mapping.
        what: What it is, for the error: ``"a document"``.

    Raises:
        TypeError: If it is no mapping, or holds what no document can hold.
    """
    if not isinstance(document, Mapping):  # pyright: ignore[reportUnnecessaryIsInstance]
        raise TypeError(f"{what} must be a mapping such as a dict, not {type(document).__name__}.")
    normalized: Document = normalize(document)
    return normalized


def count_of(count: int, what: str) -> int:
    """Return a skip or limit.

    Args:
        count: Number of documents.
        what: Its name, for the error.

    Raises:
        ValueError: If it is negative.
    """
    if count < 0:
        raise ValueError(f"{what} must not be negative.")
    return count
