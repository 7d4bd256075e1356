"""Operators of selectors that MongoDB has and minimongo has not."""

from collections.abc import Iterator

# A selector comes from applications and clients, and may be of any kind.
from typing import Any, Final

from bolide.core.minimongo.paths import is_array, is_document

__all__ = ["MONGODB_ONLY", "mongodb_only_operator"]

MONGODB_ONLY: Final = (
    "$where", "$text", "$expr", "$jsonSchema", "$geoWithin", "$geoIntersects", "$nearSphere",
    "$sampleRate", "$rand",
)  # fmt: skip
"""Their names; what says most about a selector comes first."""


def mongodb_only_operator(selector: Any) -> str:
    """Return the name of such an operator in a selector; empty if there is none."""
    names = set(_names(selector))
    return next((name for name in MONGODB_ONLY if name in names), "")


def _names(value: Any) -> Iterator[str]:
    if is_document(value):
        for name, inner in value.items():
            yield name
            yield from _names(inner)
    elif is_array(value):
        for element in value:
            yield from _names(element)
