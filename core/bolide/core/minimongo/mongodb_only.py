"""Operators of selectors that MongoDB has and minimongo has not, or answers otherwise."""

from collections.abc import Iterator

# A selector comes from applications and clients, and may be of any kind.
from typing import Any, Final

from bolide.core.minimongo.paths import is_array, is_document

__all__ = ["MONGODB_ONLY", "differing_operator", "mongodb_only_operator"]

MONGODB_ONLY: Final = (
    "$where", "$text", "$expr", "$jsonSchema", "$geoWithin", "$geoIntersects", "$nearSphere",
    "$sampleRate", "$rand",
)  # fmt: skip
"""Their names; what says most about a selector comes first."""


# To JavaScript a whole number is a double, and "array" asks what is in an array.
_OTHER_TYPES: Final = frozenset({"double", 1, "array", 4})


def mongodb_only_operator(selector: Any) -> str:
    """Return the name of such an operator in a selector; empty if there is none."""
    names = {name for name, _ in _fields(selector)}
    return next((name for name in MONGODB_ONLY if name in names), "")


def differing_operator(selector: Any) -> str:
    """Return an operator to which MongoDB may find other documents; empty if there is none.

    These are ``$type`` of fractions and arrays, and ``$near``, whose Earth has another radius.
    """
    for name, operand in _fields(selector):
        if name == "$near" or (name == "$type" and _asks_other_types(operand)):
            return name
    return ""


def _asks_other_types(operand: Any) -> bool:
    asked = operand if is_array(operand) else [operand]
    return any(isinstance(one, str | int | float) and one in _OTHER_TYPES for one in asked)


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    if is_document(value):
        for name, inner in value.items():
            yield name, inner
            yield from _fields(inner)
    elif is_array(value):
        for element in value:
            yield from _fields(element)
