"""The types that ``$type`` asks for."""

from datetime import datetime

# Operands and values are of any kind.
from typing import Any, Final

from bson.code import Code
from bson.max_key import MaxKey
from bson.min_key import MinKey
from bson.timestamp import Timestamp

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.paths import is_array
from bolide.core.minimongo.selectors.conditions import Test
from bolide.core.values import CustomValue, DatetimeMS, Decimal128, Int64, ObjectId, Regex

__all__ = ["type_test"]

_CODES: Final = {
    "double": 1,
    "string": 2,
    "object": 3,
    "array": 4,
    "binData": 5,
    "undefined": 6,
    "objectId": 7,
    "bool": 8,
    "date": 9,
    "null": 10,
    "regex": 11,
    "dbPointer": 12,
    "javascript": 13,
    "symbol": 14,
    "javascriptWithScope": 15,
    "int": 16,
    "timestamp": 17,
    "long": 18,
    "decimal": 19,
    "minKey": -1,
    "maxKey": 127,
}
_INT32: Final = range(-(2**31), 2**31)
_ALL_CODES: Final = frozenset(_CODES.values())
_NUMERIC: Final = frozenset({_CODES[name] for name in ("double", "int", "long", "decimal")})
_CODES_OF: Final[tuple[tuple[type | tuple[type, ...], frozenset[int]], ...]] = (
    (bool, frozenset({_CODES["bool"]})),
    (Timestamp, frozenset({_CODES["timestamp"]})),
    (MinKey, frozenset({_CODES["minKey"]})),
    (MaxKey, frozenset({_CODES["maxKey"]})),
    (Int64, frozenset({_CODES["double"], _CODES["long"]})),
    (float, frozenset({_CODES["double"]})),
    (Decimal128, frozenset({_CODES["decimal"]})),
    (str, frozenset({_CODES["string"]})),
    (dict, frozenset({_CODES["object"]})),
    (list, frozenset({_CODES["array"]})),
    (bytes, frozenset({_CODES["binData"]})),
    (ObjectId, frozenset({_CODES["objectId"]})),
    ((datetime, DatetimeMS), frozenset({_CODES["date"]})),
    (type(None), frozenset({_CODES["null"]})),
    (Regex, frozenset({_CODES["regex"]})),
    (CustomValue, frozenset({_CODES["object"]})),
)
_SMALL: Final = frozenset({_CODES["double"], _CODES["int"]})
_LARGE: Final = frozenset({_CODES["double"], _CODES["long"]})


def type_test(operand: Any) -> Test:
    """Make a test for ``$type``.

    A whole number is a ``double`` as in JavaScript, and also an ``int`` or a ``long`` as in BSON.

    Args:
        operand: A code, an alias (``number`` too), or an array of these.

    Raises:
        MinimongoError: If there is no such type.
    """
    wanted: set[int] = set()
    for item in operand if is_array(operand) else [operand]:
        wanted |= _codes(item)
    return lambda value: not wanted.isdisjoint(_codes_of(value))


def _codes(operand: Any) -> frozenset[int]:
    if isinstance(operand, str):
        if operand == "number":
            return _NUMERIC
        if operand in _CODES:
            return frozenset({_CODES[operand]})
    elif (
        not isinstance(operand, bool) and isinstance(operand, int | float) and operand in _ALL_CODES
    ):
        return frozenset({int(operand)})
    raise MinimongoError("$type needs the code or the alias of a BSON type, or an array of them.")


def _codes_of(value: object) -> frozenset[int]:
    if type(value) is int:
        return _SMALL if value in _INT32 else _LARGE
    if isinstance(value, Code):
        return frozenset({_CODES["javascript" if value.scope is None else "javascriptWithScope"]})
    for types, codes in _CODES_OF:
        if isinstance(value, types):
            return codes
    return frozenset()
