"""Turn plain JSON into values; :func:`bolide.core.ejson.from_json` is its public name."""

import base64
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime

# What a factory is given and makes is the application's matter.
from typing import Any, Final, TypeAlias

from bolide.core._ejson_writer import PLAIN_TYPES, is_special
from bolide.core._json_text import JSON
from bolide.core.errors import EJSONError
from bolide.core.values import (
    INVALID_DATE,
    CustomValue,
    Decimal128,
    EJSONValue,
    Encrypted,
    ObjectId,
    Regex,
    date_from_millis,
)

__all__ = ["Factory", "NumberTooBig", "factories", "read"]

Factory: TypeAlias = Callable[[Any], CustomValue]
"""Makes a custom value from what its ``to_json_value`` returned."""

_MAX_DATE_MILLIS: Final = 8_640_000_000_000_000
_LEAST: Final = -(2**63)
_MOST: Final = 2**63 - 1
_REGEX_FLAGS: Final = frozenset("dgimsuvylx")
_SAME_TYPES: Final = PLAIN_TYPES | {float}
_INTEGER: Final = re.compile(r"-?[0-9]{1,19}")
# The date-time format of ECMAScript, whole days at least; without a zone it is UTC.
_ISO_DATE: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"(T[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:[0-9]{2})?)?"
)


class NumberTooBig(EJSONError):
    """An integer that not even a float can hold; JSON with ``1e999`` is refused before."""


# Values of JSON are values as they are, which type checkers cannot see in containers: hence Any.


def read(json: Any) -> EJSONValue:
    """Read a value as :func:`bolide.core.ejson.from_json` says."""
    kind: object = type(json)  # pyright: ignore[reportUnknownVariableType]
    if kind is dict:
        return _read_object(json)
    if kind is list:
        return _read_array(json)
    if kind is int and not _LEAST <= json <= _MOST:
        return _read_big_number(json)
    if isinstance(json, dict):
        return _read_object(json)  # pyright: ignore[reportUnknownArgumentType]
    return _read_array(json) if isinstance(json, list) else json


def _read_array(json: Any) -> EJSONValue:
    items: list[Any] = json
    copy: list[EJSONValue] | None = None
    index = -1
    for item in items:
        index += 1
        kind: object = type(item)  # pyright: ignore[reportUnknownVariableType]
        if kind in _SAME_TYPES or (kind is int and _LEAST <= item <= _MOST):
            continue
        value = read(item)
        if value is not item:
            if copy is None:
                copy = list(items)
            copy[index] = value
    return items if copy is None else copy


def _read_big_number(number: int) -> float:
    try:
        return float(number)
    except OverflowError:
        raise NumberTooBig("A number is too big for 64 bits; send it as a string.") from None


def _read_object(json: dict[str, Any]) -> EJSONValue:
    count = len(json)
    if count == 1:
        for key in json:
            reader = _SINGLE_READERS.get(key)
            if reader is not None:
                return reader(json[key])
    elif count == 2 and is_special(json):
        if "$regexp" in json:
            return _read_regex(json["$regexp"], json["$flags"])
        return _read_typed(json["$type"], json["$value"])
    return _read_items(json)


def _read_items(items: dict[str, Any]) -> EJSONValue:
    copy: dict[str, EJSONValue] | None = None
    for name, item in items.items():
        kind: object = type(item)  # pyright: ignore[reportUnknownVariableType]
        if kind in _SAME_TYPES or (kind is int and _LEAST <= item <= _MOST):
            continue
        value = read(item)
        if value is not item:
            if copy is None:
                copy = dict(items)
            copy[name] = value
    return items if copy is None else copy


def _read_escape(content: JSON) -> EJSONValue:
    # One level only: what looks special inside is special again, unless it is escaped itself.
    return _read_items(content) if isinstance(content, dict) else {"$escape": read(content)}


def _read_date(content: JSON) -> EJSONValue:
    if isinstance(content, bool):
        return INVALID_DATE
    if isinstance(content, (int, float)):
        # JavaScript cuts fractions towards zero; NaN fails the comparison.
        in_range = -_MAX_DATE_MILLIS <= content <= _MAX_DATE_MILLIS
        return date_from_millis(int(content)) if in_range else INVALID_DATE
    if isinstance(content, str) and _ISO_DATE.fullmatch(content):
        try:
            date = datetime.fromisoformat(content)
            return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
        except (ValueError, OverflowError):
            return INVALID_DATE
    return INVALID_DATE


def _read_binary(content: JSON) -> bytes:
    if isinstance(content, str):
        try:
            return base64.b64decode(content, validate=True)
        except ValueError:
            pass
    raise EJSONError("Binary data must be base64 with padding.")


def _read_inf_nan(content: JSON) -> float:
    if not isinstance(content, (int, float)) or content == 0:
        return math.nan
    return math.inf if content > 0 else -math.inf


def _read_regex(pattern: JSON, flags: JSON) -> Regex:
    if not isinstance(pattern, str) or not isinstance(flags, str):
        raise EJSONError("A regular expression must have $regexp and $flags that are strings.")
    # Letters that nobody knows and repetitions are dropped, as Meteor does.
    return Regex(pattern, "".join(dict.fromkeys(c for c in flags[:50] if c in _REGEX_FLAGS)))


def _read_typed(name: JSON, content: JSON) -> EJSONValue:
    factory = factories.get(name) if isinstance(name, str) else None
    if factory is None:
        # A type's name is the application's word; anything longer is not repeated.
        shown = name if isinstance(name, str) and len(name) <= 64 else "(not a name)"
        raise EJSONError(f"Custom EJSON type {shown} is not defined")
    value = read(content)
    try:
        made: EJSONValue = factory(value)
    except EJSONError:
        raise
    except Exception as error:
        raise EJSONError(f"EJSON type {name} cannot be made from its $value.") from error
    return made


def _make_long(value: EJSONValue) -> int:
    if isinstance(value, str) and _INTEGER.fullmatch(value) and _LEAST <= int(value) <= _MOST:
        return int(value)
    raise EJSONError("A $type long must hold an integer of 64 bits as a string.")


def _make_text(make: Callable[[str], Any]) -> Factory:
    """Let ``make`` see strings only: the classes of BSON take more than JSON means."""

    def factory(value: EJSONValue) -> Any:
        if not isinstance(value, str):
            raise TypeError("The $value must be a string.")
        return make(value)

    return factory


_SINGLE_READERS: Final[dict[str, Callable[[JSON], EJSONValue]]] = {
    "$date": _read_date,
    "$binary": _read_binary,
    "$InfNaN": _read_inf_nan,
    "$escape": _read_escape,
}

factories: Final[dict[str, Callable[[Any], Any]]] = {
    "oid": _make_text(ObjectId),
    "Decimal": _make_text(Decimal128),
    "cse": _make_text(lambda text: Encrypted(_read_binary(text))),
    "long": _make_long,
}
"""By the name in ``$type``; applications add theirs. Ours make values of BSON."""
