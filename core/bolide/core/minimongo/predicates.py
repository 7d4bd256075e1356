"""What a selector demands of single fields, for indexing many selectors.

A selector is true only if each of its conjuncts is; a conjunct here is a choice of predicates, of
which one must hold: ``{"a": 1, "b": {"$in": [2, 3]}}`` has the conjuncts ``a = 1`` and ``b = 2 or
b = 3``. A document that makes no predicate of a conjunct true cannot match. The opposite does not
follow, so who finds a selector here still asks its matcher.

What a predicate means is what the matcher means: an array fits if it or one of its elements does, a
dotted path goes through arrays, null is the same as missing, numbers are equal across types, and
an inequality fits values of its own type only.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

# Values are of any kind.
from typing import Any, Final, TypeAlias

from bolide.core.foreign import FOREIGN_TYPES, foreign_key
from bolide.core.keys import Key
from bolide.core.minimongo.branches import Lookup, expand
from bolide.core.minimongo.paths import is_array, is_document
from bolide.core.values import (
    INVALID_DATE,
    UNDEFINED,
    CustomValue,
    DatetimeMS,
    Decimal128,
    Document,
    ObjectId,
    Regex,
    date_to_millis,
    is_encrypted,
)

__all__ = [
    "Bound",
    "Conjunct",
    "Equality",
    "Predicate",
    "Range",
    "conjuncts",
    "match_key",
    "order_key",
    "values_at",
]


@dataclass(frozen=True, slots=True)
class Equality:
    """A value at a path has this key.

    Attributes:
        path: The dotted path.
        key: The :func:`match_key` of the value asked for.
    """

    path: str
    key: Key


@dataclass(frozen=True, slots=True)
class Bound:
    """One end of a range.

    Attributes:
        value: Comparable with all others of its kind.
        is_included: The value itself is in the range.
    """

    value: Any
    is_included: bool


@dataclass(frozen=True, slots=True)
class Range:
    """Values at a path lie above a bound, below one, or both; in an array these may be two.

    Attributes:
        path: The dotted path.
        kind: Which values can be compared with the bounds, see :func:`order_key`.
        low: The lower end; None is none.
        high: The upper end; None is none.
    """

    path: str
    kind: str
    low: Bound | None
    high: Bound | None


Predicate: TypeAlias = Equality | Range

Conjunct: TypeAlias = tuple[Predicate, ...]
"""Predicates of which one must hold; with none of them, nothing matches."""

_INEQUALITIES: Final[dict[str, tuple[bool, bool]]] = {
    "$gt": (True, False),
    "$gte": (True, True),
    "$lt": (False, False),
    "$lte": (False, True),
}
"""Operator -> it is a lower bound, the bound is included."""


def conjuncts(selector: Mapping[str, Any]) -> list[Conjunct]:
    """Return what must hold for a selector to match, in its order.

    Args:
        selector: One that :class:`~bolide.core.minimongo.matcher.Matcher` compiles.

    Returns:
        What can be indexed: values, ``$eq``, ``$in``, ``$all`` and inequalities, also inside
        ``$and``, and ``$or`` if each of its selectors has some of these. Empty: nothing can.
    """
    return list(_of_selector(selector))


def match_key(value: Any) -> Key:
    """Return a key that is the same for two values if a selector holds them equal.

    Unlike :func:`bolide.core.keys.key_of` it is defined for every value, and some that differ share
    one, such as custom values of the same type.
    """
    if value is None or value is UNDEFINED:
        return None
    if isinstance(value, FOREIGN_TYPES):
        return foreign_key(value)
    if isinstance(value, str | bool | ObjectId):
        return value
    if isinstance(value, int | float):
        return ("number", value if value == value else "nan")
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        return ("number", "nan" if number.is_nan() else number)
    if is_document(value):
        return ("document", tuple([(name, match_key(inner)) for name, inner in value.items()]))
    if is_array(value):
        return ("array", tuple([match_key(element) for element in value]))
    if isinstance(value, bytes):
        return ("binary", is_encrypted(value), bytes(value))
    if isinstance(value, datetime | DatetimeMS):
        return ("date", date_to_millis(value))
    if isinstance(value, CustomValue):
        return ("custom", value.type_name())
    return ("other", value if isinstance(value, Regex) else None)


def order_key(value: Any) -> tuple[str, Any] | None:
    """Return what places a value among those of its kind.

    Returns:
        The kind, and what compares with all others of it as inequalities do; None for kinds without
        an index, and for NaN.
    """
    if isinstance(value, (bool, *FOREIGN_TYPES)):
        return None
    if isinstance(value, str):
        return "text", value
    if isinstance(value, int | float):
        return ("number", value) if value == value else None
    if isinstance(value, datetime | DatetimeMS):
        return "date", date_to_millis(value)
    if isinstance(value, ObjectId):
        return "id", value
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        return None if number.is_nan() else ("number", number)
    return ("date", 0) if value is INVALID_DATE else None


def values_at(lookup: Lookup, document: Document) -> Iterator[Any]:
    """Go through the values that predicates of a path are about: arrays and their elements too."""
    return (branch.value for branch in expand(lookup.find(document), keep_arrays=True))


def _of_selector(selector: Mapping[str, Any]) -> Iterator[Conjunct]:
    for name, asked in selector.items():
        if name == "$and":
            for inner in asked:
                yield from _of_selector(inner)
        elif name == "$or":
            yield from _of_choice(asked)
        elif not name.startswith("$"):
            yield from _of_field(name, asked)


def _of_choice(selectors: Iterable[Mapping[str, Any]]) -> Iterator[Conjunct]:
    """Return the predicates of which one holds if one of several selectors does."""
    chosen: list[Predicate] = []
    for selector in selectors:
        offered = conjuncts(selector)
        if not offered:
            return
        chosen.extend(min(offered, key=_breadth))
    yield tuple(dict.fromkeys(chosen))


def _breadth(conjunct: Iterable[Predicate]) -> tuple[bool, int]:
    """Order what is offered: values before ranges, few before many."""
    predicates = tuple(conjunct)
    return any(isinstance(predicate, Range) for predicate in predicates), len(predicates)


def _of_field(path: str, asked: Any) -> Iterator[Conjunct]:
    if isinstance(asked, Regex):
        return
    if not is_document(asked) or not any(name.startswith("$") for name in asked):
        yield (Equality(path, match_key(asked)),)
        return
    for name, operand in asked.items():
        if name in _EQUALITIES:
            yield from _EQUALITIES[name](path, operand)
    yield from _ranges(path, asked)


def _equal(path: str, operand: Any) -> Iterator[Conjunct]:
    yield (Equality(path, match_key(operand)),)


def _in(path: str, operand: list[Any]) -> Iterator[Conjunct]:
    if not any(isinstance(item, Regex) for item in operand):
        yield tuple(dict.fromkeys(Equality(path, match_key(item)) for item in operand))


def _all(path: str, operand: list[Any]) -> Iterator[Conjunct]:
    for item in operand:
        if not isinstance(item, Regex):
            yield (Equality(path, match_key(item)),)


_EQUALITIES: Final[dict[str, Callable[[str, Any], Iterator[Conjunct]]]] = {
    "$eq": _equal,
    "$in": _in,
    "$all": _all,
}


def _ranges(path: str, operators: Mapping[str, Any]) -> Iterator[Conjunct]:
    """Return one range for each kind of bounds; of two lower or upper ones the last counts."""
    ends: dict[str, list[Bound | None]] = {}
    for name, operand in operators.items():
        place = order_key(operand) if name in _INEQUALITIES else None
        if place is not None:
            kind, value = place
            is_low, is_included = _INEQUALITIES[name]
            ends.setdefault(kind, [None, None])[0 if is_low else 1] = Bound(value, is_included)
    for kind, (low, high) in ends.items():
        yield (Range(path, kind, low, high),)
