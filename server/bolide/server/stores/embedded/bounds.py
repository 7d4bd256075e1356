"""What a selector asks of single fields, as far as an index can answer it.

Each bound is true of every document that matches, and of others: the matcher has the last word.
What is not understood here only makes a query look at more documents.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter

# Selectors and documents hold values of any kind.
from typing import Any, Final, TypeAlias, TypeGuard

from bson import Decimal128, ObjectId
from bson.datetime_ms import DatetimeMS

from bolide.core.keys import Key, key_of
from bolide.core.minimongo.paths import is_array, is_document
from bolide.core.values import UNDEFINED, is_encrypted

__all__ = ["NO_KEY", "Bounds", "PathBounds", "Place", "bounds_of", "place_of", "scalar_key"]

NO_KEY: Final = object()
"""The key of an array, an object, a regular expression: an index does not find these."""

Place: TypeAlias = tuple[str, Any]
"""Where a value stands among those of its type: ``("number", 5)``."""

_RANGED: Final = frozenset({"number", "date"})
_LOWS: Final = frozenset({"$gt", "$gte"})
_HIGHS: Final = frozenset({"$lt", "$lte"})


def scalar_key(value: Any) -> Key:
    """Return what is equal for two values that a selector holds equal; or :data:`NO_KEY`.

    Null and what is absent have one key; so have binary values of different subtypes, except
    that ciphertext equals only ciphertext.
    """
    if value is None or value is UNDEFINED:
        return None
    if isinstance(value, bytes):
        return ("binary", is_encrypted(value), bytes(value))
    if isinstance(value, (str, int, float, ObjectId, datetime, Decimal128, DatetimeMS)):
        return key_of(value)
    return NO_KEY


def place_of(key: Key) -> Place | None:
    """Return where a key stands; None if values of its type are not kept in order, and for NaN."""
    if isinstance(key, str):
        return ("string", key)
    if _is_tagged(key) and key[0] in _RANGED and key[1] != "nan":
        return (key[0], key[1])
    return None


def _is_tagged(key: Key) -> TypeGuard[tuple[Any, ...]]:
    """Tell whether a key begins with the name of its type."""
    return isinstance(key, tuple)


@dataclass(slots=True)
class PathBounds:
    """What a document must have at one path.

    If several values are found there, each of the three may be true of another one.

    Attributes:
        values: One of these, or nothing is known; each has a key.
        keys: Their keys, without repetition.
        low: It or something after it, of the same type.
        high: It or something before it, of the type of ``low`` if there is one.
    """

    values: tuple[Any, ...] | None = None
    keys: tuple[Key, ...] = ()
    low: Place | None = None
    high: Place | None = None

    def allow(self, values: list[Any]) -> None:
        """Take in that one of some values must be there."""
        keys = tuple(dict.fromkeys(map(scalar_key, values)))
        if NO_KEY not in keys and (self.values is None or len(keys) < len(self.keys)):
            self.values, self.keys = tuple(values), keys

    def limit(self, operator: str, operand: Any) -> None:
        """Take in an inequality; the limit itself counts as allowed."""
        place = place_of(scalar_key(operand))
        # One type is enough: values of two types can only be two elements of an array.
        if place is None or any(known and known[0] != place[0] for known in (self.low, self.high)):
            return
        if operator in _LOWS:
            self.low = max(self.low or place, place, key=itemgetter(1))
        else:
            self.high = min(self.high or place, place, key=itemgetter(1))


Bounds: TypeAlias = dict[str, PathBounds]
"""By path; what is not there is not bounded."""


def bounds_of(selector: Mapping[str, Any]) -> Bounds:
    """Return what every document that matches has at some paths.

    Args:
        selector: One that compiles.
    """
    bounds: Bounds = {}
    _collect(selector, bounds)
    return {
        path: bound
        for path, bound in bounds.items()
        if (bound.values, bound.low, bound.high) != (None, None, None)
    }


def _collect(selector: Mapping[str, Any], bounds: Bounds) -> None:
    for name, asked in selector.items():
        if name == "$and":
            for part in asked:
                _collect(part, bounds)
        elif not name.startswith("$"):
            _bound(asked, bounds.setdefault(name, PathBounds()))


def _bound(asked: Any, bound: PathBounds) -> None:
    if not is_document(asked):
        bound.allow([asked])
        return
    for operator, operand in asked.items():
        if operator == "$eq":
            bound.allow([operand])
        elif operator == "$in" and is_array(operand):
            bound.allow(operand)
        elif operator in _LOWS or operator in _HIGHS:
            bound.limit(operator, operand)
