"""The value model: what a document, an argument or a result may hold.

========================  ===========================================  ==================
Python                    wire (EJSON)                                 BSON
========================  ===========================================  ==================
``None``                  ``null``                                     null
``bool``                  ``true``, ``false``                          bool
``int``, ``Int64``        number; ``$type: long`` beyond 2**53         int32, int64
``float``                 number; ``$InfNaN`` for NaN and infinities   double
``Decimal128``            ``$type: Decimal``                           decimal128
``str``                   string                                       string
``bytes``                 ``$binary``                                  binary, subtype 0
``Encrypted``             ``$type: cse``                               binary, subtype 6
``ObjectId``              ``$type: oid``                               ObjectId
``datetime`` (UTC, ms)    ``$date``                                    date
``DatetimeMS``            ``$date``, outside the years 1 to 9999       date
``Regex``                 ``$regexp``, ``$flags``                      regex
``list``                  array                                        array
``dict``                  object, key order kept                       document
``CustomValue``           ``$type``, ``$value``                        document (see below)
========================  ===========================================  ==================

A custom value is stored as ``{"EJSON$type": name, "EJSON$value": value}``, as Meteor does.
1 equals 1.0 and neither equals True. Values are treated as immutable everywhere: a change makes
a new container, so that many sessions may share one document.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final, Literal, Protocol, TypeAlias, Union, runtime_checkable

from bson import Binary, Decimal128, Int64, ObjectId
from bson import Regex as BSONRegex
from bson.datetime_ms import DatetimeMS

__all__ = [
    "ENCRYPTED_SUBTYPE",
    "INVALID_DATE",
    "UNDEFINED",
    "CustomValue",
    "DatetimeMS",
    "Decimal128",
    "Document",
    "EJSONValue",
    "Encrypted",
    "Fields",
    "Int64",
    "InvalidDate",
    "ObjectId",
    "Regex",
    "Undefined",
    "date_from_millis",
    "date_to_millis",
    "equals",
    "is_encrypted",
    "normalize",
]

ENCRYPTED_SUBTYPE: Final = 6


class Encrypted(Binary):
    """A field that only clients can read: one BSON Binary of subtype 6."""

    def __new__(cls, data: bytes) -> "Encrypted":
        """Wrap the ciphertext.

        Args:
            data: The blob as the client made it, first byte the algorithm.
        """
        return super().__new__(cls, data, ENCRYPTED_SUBTYPE)


@dataclass(frozen=True, slots=True)
class Regex:
    """A regular expression as data; ``bolide.core.minimongo`` runs it with a time limit.

    Attributes:
        pattern: Source text, without slashes.
        flags: Letters as in JavaScript, such as ``"im"``.
    """

    pattern: str
    flags: str = ""


class Undefined(Enum):
    """The type of :data:`UNDEFINED`."""

    UNDEFINED = "undefined"


UNDEFINED: Final[Literal[Undefined.UNDEFINED]] = Undefined.UNDEFINED
"""JavaScript's ``undefined``: in ``changed`` it clears a field; it is never stored nor sent."""


class InvalidDate(Enum):
    """The type of :data:`INVALID_DATE`."""

    INVALID_DATE = "invalid date"


INVALID_DATE: Final[Literal[InvalidDate.INVALID_DATE]] = InvalidDate.INVALID_DATE
"""What ``{"$date": "rubbish"}`` means; written as ``{"$date": null}`` and never stored."""


@runtime_checkable
class CustomValue(Protocol):
    """An application's own EJSON type; registered with :func:`bolide.core.ejson.add_type`."""

    def type_name(self) -> str:
        """Return the name it was registered under."""
        ...

    def to_json_value(self) -> "EJSONValue":
        """Return what its factory makes an equal value from."""
        ...


EJSONValue: TypeAlias = Union[
    bool,
    int,
    float,
    str,
    bytes,
    Binary,
    datetime,
    DatetimeMS,
    InvalidDate,
    Decimal128,
    ObjectId,
    Regex,
    CustomValue,
    "list[EJSONValue]",
    "dict[str, EJSONValue]",
    None,
]
"""Any value of the table above (``Int64`` is an ``int``, ``Encrypted`` a ``Binary``)."""

# Documents come from drivers and applications, whose values no type checker knows.
Document: TypeAlias = dict[str, Any]
"""A document with its ``_id``."""

Fields: TypeAlias = Mapping[str, Any]
"""Top-level fields by name, without ``_id``; :data:`UNDEFINED` only where a docstring says so."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND: Final = timedelta(milliseconds=1)

# Types whose own ``==`` is already the equality of values, as long as both sides have the same.
_PLAIN_TYPES: Final = frozenset({str, int, bool, bytes, ObjectId, Encrypted, Regex, Decimal128})


def date_to_millis(date: datetime | DatetimeMS) -> int:
    """Count the milliseconds since 1970, UTC; what is finer is cut, as BSON does.

    Args:
        date: A naive ``datetime`` is taken as UTC.
    """
    if isinstance(date, DatetimeMS):
        return int(date)
    if date.tzinfo is None:
        date = date.replace(tzinfo=UTC)
    return (date - _EPOCH) // _MILLISECOND


def date_from_millis(millis: int) -> datetime | DatetimeMS:
    """Make a date; beyond the years 1 to 9999 a ``DatetimeMS``.

    Args:
        millis: Milliseconds since 1970, UTC; within 64 bits.
    """
    try:
        return _EPOCH + timedelta(milliseconds=millis)
    except OverflowError:
        return DatetimeMS(millis)


def equals(
    a: EJSONValue | Undefined, b: EJSONValue | Undefined, *, key_order: bool = False
) -> bool:
    """Tell whether two values are the same for a client.

    1 equals 1.0 but not True; NaN equals NaN; Decimal128 values are equal when they are written
    alike, since trailing zeros mean precision. Binary subtypes are not seen by clients and do not
    count, except that ciphertext equals only ciphertext.

    Args:
        a: A value.
        b: Another.
        key_order: Objects with the same keys in another order differ.

    Follows Meteor's ``EJSON.equals`` with its option ``keyOrderSensitive``.
    """
    if a is b:
        return True
    kind = type(a)
    if kind is type(b) and kind in _PLAIN_TYPES:
        return a == b
    if isinstance(a, dict):
        return isinstance(b, dict) and _objects_equal(a, b, key_order=key_order)
    if isinstance(a, list):
        return (
            isinstance(b, list)
            and len(a) == len(b)
            and all(equals(x, y, key_order=key_order) for x, y in zip(a, b, strict=True))
        )
    return _scalars_equal(a, b)


def _objects_equal(a: dict[str, EJSONValue], b: dict[str, EJSONValue], *, key_order: bool) -> bool:
    if len(a) != len(b) or (key_order and list(a) != list(b)):
        return False
    return all(
        name in b and equals(value, b[name], key_order=key_order) for name, value in a.items()
    )


def _scalars_equal(a: EJSONValue | Undefined, b: EJSONValue | Undefined) -> bool:
    if isinstance(a, bool) or isinstance(b, bool):
        return False
    if isinstance(a, (int, float)):
        # NaN is the one value that differs from itself.
        return isinstance(b, (int, float)) and (a == b or (a != a and b != b))
    if isinstance(a, bytes):
        return isinstance(b, bytes) and bytes.__eq__(a, b) and is_encrypted(a) == is_encrypted(b)
    if isinstance(a, (datetime, DatetimeMS)):
        return isinstance(b, (datetime, DatetimeMS)) and date_to_millis(a) == date_to_millis(b)
    if isinstance(a, str):
        return isinstance(b, str) and a == b
    if isinstance(a, CustomValue):
        return (
            isinstance(b, CustomValue)
            and a.type_name() == b.type_name()
            and equals(a.to_json_value(), b.to_json_value())
        )
    return False


def is_encrypted(value: object) -> bool:
    """Tell whether a value is ciphertext: :class:`Encrypted`, or a ``Binary`` of its subtype."""
    return isinstance(value, Binary) and value.subtype == ENCRYPTED_SUBTYPE


MAX_DEPTH: Final = 100
"""Levels of objects and arrays in one value, as in a document of MongoDB."""

_MIN_INT64: Final = -(2**63)
_MAX_INT64: Final = 2**63 - 1
_FLAG_LETTERS: Final = (
    (re.IGNORECASE, "i"),
    (re.LOCALE, "l"),
    (re.MULTILINE, "m"),
    (re.DOTALL, "s"),
    (re.UNICODE, "u"),
    (re.VERBOSE, "x"),
)


# Takes whatever an application hands in.
def normalize(value: Any) -> Any:
    """Make a value of what an application handed in: what a store does before it stores.

    Containers are copied all the way down, so that the caller may change its own later. Dates are
    cut to milliseconds and become UTC; tuples become lists, mappings dicts, compiled patterns and
    ``bson.Regex`` :class:`Regex`, binaries of subtype 6 :class:`Encrypted`; enumerations and other
    subclasses of plain types become the plain value. UNDEFINED is left out of objects and None
    elsewhere.

    Raises:
        TypeError: If a part is of a type that no document may hold; names its path.
        ValueError: If a part cannot be held as it is, such as an integer beyond 64 bits, or the
            value is nested deeper than 100 levels; names its path.
    """
    try:
        return _normalize(value, MAX_DEPTH)
    except _NotAValueError as error:
        path = ".".join(reversed(error.path))
        where = f"The value at {path!r}" if path else "The value"
        raise error.kind(f"{where} {error.reason}") from None


class _NotAValueError(Exception):
    """Why a part cannot be held; the path is put together on the way up, last name first."""

    def __init__(self, kind: type[Exception], reason: str) -> None:
        super().__init__(reason)
        self.kind = kind
        self.reason = reason
        self.path: list[str] = []


def _normalize(value: object, levels: int) -> Any:
    kind = type(value)
    if kind in _IMMUTABLE_TYPES:
        return value
    convert = _CONVERTERS.get(kind)
    if convert is not None:
        return convert(value, levels)
    for base, convert in _SUBCLASS_CONVERTERS:
        if isinstance(value, base):
            return convert(value, levels)
    raise _NotAValueError(
        TypeError, f"is of type {kind.__name__!r}; use one of the types of bolide.core.values."
    )


def _copy_object(value: Mapping[Any, Any], levels: int) -> dict[str, Any]:
    _check_levels(levels)
    copy: dict[str, Any] = {}
    for name, item in value.items():
        try:
            if item is not UNDEFINED:
                copy[_check_name(name)] = _normalize(item, levels - 1)
        except _NotAValueError as error:
            error.path.append(str(name))
            raise
    return copy


def _copy_array(value: Iterable[Any], levels: int) -> list[Any]:
    _check_levels(levels)
    copy: list[Any] = []
    for index, item in enumerate(value):
        try:
            copy.append(_normalize(item, levels - 1))
        except _NotAValueError as error:
            error.path.append(str(index))
            raise
    return copy


def _check_levels(levels: int) -> None:
    if levels <= 0:
        raise _NotAValueError(ValueError, f"is nested deeper than {MAX_DEPTH} levels; flatten it.")


def _check_name(name: Any) -> str:
    if not isinstance(name, str):
        raise _NotAValueError(
            TypeError, f"has a name of type {type(name).__name__!r}; names must be strings."
        )
    if "\0" in name:
        raise _NotAValueError(ValueError, "has a name with a null character; leave it out.")
    return _check_text(name, 0)


def _check_text(text: str, _: int) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise _NotAValueError(
                ValueError, "has half a surrogate pair, which is no character; leave it out."
            ) from None
    # Enumerations of strings are strings of their own type.
    return str.__str__(text)


def _check_integer(number: int, _: int) -> int:
    if not _MIN_INT64 <= number <= _MAX_INT64:
        raise _NotAValueError(
            ValueError, "is an integer beyond 64 bits; store it as Decimal128 or as a string."
        )
    return number if type(number) is Int64 else int(number)


def _cut_date(date: datetime | DatetimeMS, _: int) -> datetime | DatetimeMS:
    return date_from_millis(date_to_millis(date))


def _unwrap_binary(binary: Binary, _: int) -> bytes:
    if binary.subtype == 0:
        return bytes(binary)
    return Encrypted(binary) if is_encrypted(binary) else binary


def _make_regex(pattern: "re.Pattern[Any] | BSONRegex[Any]", _: int) -> Regex:
    source, flags = pattern.pattern, pattern.flags
    if isinstance(pattern, re.Pattern):
        # Set in every pattern of str; the letter would mean something else to JavaScript.
        flags &= ~re.UNICODE
    if isinstance(source, bytes):
        try:
            source = source.decode()
        except UnicodeDecodeError:
            raise _NotAValueError(ValueError, "is a pattern that is not UTF-8.") from None
    return Regex(source, "".join(letter for flag, letter in _FLAG_LETTERS if flags & flag))


_IMMUTABLE_TYPES: Final = frozenset(
    {bool, float, bytes, type(None), ObjectId, Decimal128, Encrypted, Regex, InvalidDate}
)

_CONVERTERS: Final[dict[type, Callable[[Any, int], Any]]] = {
    str: _check_text,
    int: _check_integer,
    Int64: _check_integer,
    dict: _copy_object,
    list: _copy_array,
    tuple: _copy_array,
    datetime: _cut_date,
    DatetimeMS: _cut_date,
    Binary: _unwrap_binary,
    Undefined: lambda _value, _levels: None,
}

_SUBCLASS_CONVERTERS: Final[tuple[tuple[type, Callable[[Any, int], Any]], ...]] = (
    (str, _check_text),
    (int, _check_integer),
    (float, lambda number, _: float(number)),
    (bytes, lambda data, _: bytes(data)),
    (bytearray, lambda data, _: bytes(data)),
    (Mapping, _copy_object),
    (list, _copy_array),
    (tuple, _copy_array),
    (datetime, _cut_date),
    (re.Pattern, _make_regex),
    (BSONRegex, _make_regex),
    (CustomValue, lambda value, _: value),
)
