"""Turn values into plain JSON; :func:`bolide.core.ejson.to_json` is its public name."""

import base64
import math
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime

# Values are what applications made them; types are looked up, not checked.
from typing import Any, Final, TypeAlias, cast

from bolide.core._json_text import JSON
from bolide.core.errors import EJSONError
from bolide.core.values import (
    UNDEFINED,
    CustomValue,
    DatetimeMS,
    Decimal128,
    InvalidDate,
    ObjectId,
    Regex,
    Undefined,
    date_to_millis,
    is_encrypted,
)

__all__ = ["MAX_SAFE_INTEGER", "PLAIN_TYPES", "IntegerTooBig", "is_special", "write"]

MAX_SAFE_INTEGER: Final = 2**53
"""The greatest integer up to which a JavaScript number holds every integer."""

PLAIN_TYPES: Final = frozenset({str, bool, type(None)})
"""Types whose values are the same in JSON; ``int`` is not one, because of big integers."""

_SINGLE_KEYS: Final = frozenset({"$date", "$binary", "$InfNaN", "$escape"})

_Write: TypeAlias = Callable[[Any, bool], JSON]


class IntegerTooBig(EJSONError, ValueError):
    """An integer that no other program reads as one."""


def write(value: object, bolide: bool) -> JSON:
    """Write a value as :func:`bolide.core.ejson.to_json` says."""
    kind = type(value)
    if kind in PLAIN_TYPES:
        return cast("JSON", value)
    writer = _WRITERS.get(kind)
    return _write_other(value, bolide) if writer is None else writer(value, bolide)


def is_special(json: Mapping[str, object]) -> bool:
    """Tell whether a reader would take an object for a value of another type."""
    if len(json) == 1:
        return not _SINGLE_KEYS.isdisjoint(json)
    if len(json) != 2:
        return False
    return ("$value" in json and "$type" in json) or ("$regexp" in json and "$flags" in json)


def _write_other(value: object, bolide: bool) -> JSON:
    for base, writer in _SUBCLASS_WRITERS:
        if isinstance(value, base):
            return writer(value, bolide)
    raise EJSONError(
        f"A value of type {type(value).__name__!r} cannot be sent; "
        "use the types of bolide.core.values, or register one with add_type()."
    )


def _write_integer(value: int, bolide: bool) -> JSON:
    if bolide and not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        if not -(2**63) <= value < 2**63:
            raise IntegerTooBig("An integer beyond 64 bits cannot be sent; send it as Decimal128.")
        return {"$type": "long", "$value": str(int(value))}
    # Int64 and enumerations are subclasses, which the encoder does not know.
    return value if type(value) is int else int(value)


def _write_float(value: float, bolide: bool) -> JSON:
    if not math.isfinite(value):
        return {"$InfNaN": 0 if math.isnan(value) else 1 if value > 0 else -1}
    if value.is_integer() and -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
        return int(value)
    return value if type(value) is float else float(value)


def _write_bytes(value: bytes, bolide: bool) -> JSON:
    text = base64.b64encode(value).decode("ascii")
    if bolide and is_encrypted(value):
        return {"$type": "cse", "$value": text}
    return {"$binary": text}


def _write_object(value: Mapping[str, Any], bolide: bool) -> JSON:
    copy: dict[str, JSON] | None = None
    for name, item in value.items():
        if type(item) in PLAIN_TYPES:
            continue
        json = write(item, bolide)
        if json is not item:
            if copy is None:
                copy = dict(value)
            if item is UNDEFINED:
                del copy[name]
            else:
                copy[name] = json
    if copy is None:
        copy = cast("dict[str, JSON]", value if type(value) is dict else dict(value))
    return {"$escape": copy} if len(copy) <= 2 and is_special(copy) else copy


def _write_array(value: Iterable[Any], bolide: bool) -> JSON:
    items = cast("list[JSON]", value if type(value) is list else list(value))
    copy: list[JSON] | None = None
    for index, item in enumerate(items):
        if type(item) in PLAIN_TYPES:
            continue
        json = write(item, bolide)
        if json is not item:
            if copy is None:
                copy = list(items)
            copy[index] = json
    return items if copy is None else copy


def _write_custom(value: CustomValue, bolide: bool) -> JSON:
    return {"$type": value.type_name(), "$value": write(value.to_json_value(), bolide)}


def _write_date(value: datetime | DatetimeMS, bolide: bool) -> JSON:
    return {"$date": date_to_millis(value)}


_WRITERS: Final[dict[type, _Write]] = {
    int: _write_integer,
    float: _write_float,
    dict: _write_object,
    list: _write_array,
    datetime: _write_date,
    ObjectId: lambda value, _: {"$type": "oid", "$value": str(value)},
    bytes: _write_bytes,
    Undefined: lambda _value, _bolide: None,
    InvalidDate: lambda _value, _bolide: {"$date": None},
    DatetimeMS: _write_date,
    Decimal128: lambda value, _: {"$type": "Decimal", "$value": str(value)},
    Regex: lambda value, _: {"$regexp": value.pattern, "$flags": value.flags},
}

_SUBCLASS_WRITERS: Final[tuple[tuple[type, _Write], ...]] = (
    (str, lambda value, _: str.__str__(value)),
    (int, _write_integer),
    (float, _write_float),
    (bytes, _write_bytes),
    (datetime, _write_date),
    (Mapping, _write_object),
    (list, _write_array),
    (tuple, _write_array),
    (CustomValue, _write_custom),
)
