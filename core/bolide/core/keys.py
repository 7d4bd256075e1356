"""Hashable keys of values, equal where MongoDB holds two values equal in an ``_id``."""

from collections.abc import Hashable
from datetime import datetime
from typing import TypeAlias

from bson import Binary, Decimal128, ObjectId
from bson.datetime_ms import DatetimeMS

from bolide.core.foreign import FOREIGN_TYPES, ForeignValue, foreign_key
from bolide.core.values import CustomValue, EJSONValue, Regex, date_to_millis

__all__ = ["Key", "key_of"]

Key: TypeAlias = Hashable
"""What :func:`key_of` returns: ids that are texts or ObjectIds stand for themselves."""


def key_of(value: EJSONValue | ForeignValue) -> Key:
    """Return the key of a value.

    Numbers are equal across their types (1, 1.0, ``Decimal128("1.0")``) and never equal to a
    bool; NaN equals itself; subdocuments are equal only with their fields in the same order.

    Raises:
        TypeError: If the value is not of the value model.
    """
    if type(value) is str:
        return value
    if isinstance(value, FOREIGN_TYPES):
        return foreign_key(value)
    if value is None or isinstance(value, (str, bool, ObjectId)):
        return value
    if isinstance(value, (int, float)):
        return ("number", value if value == value else "nan")
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        return ("number", "nan" if number.is_nan() else number)
    if isinstance(value, dict):
        return ("document", tuple([(name, key_of(inner)) for name, inner in value.items()]))
    if isinstance(value, list):
        return ("array", tuple([key_of(element) for element in value]))
    if isinstance(value, bytes):
        return ("binary", value.subtype if isinstance(value, Binary) else 0, bytes(value))
    if isinstance(value, (datetime, DatetimeMS)):
        return ("date", date_to_millis(value))
    if isinstance(value, Regex):
        return ("regex", value.pattern, value.flags)
    if isinstance(value, CustomValue):
        return ("custom", value.type_name(), key_of(value.to_json_value()))
    raise TypeError(f"A {type(value).__name__} is no value of a document.")
