"""Values as BSON, the form in which documents are stored.

Regular expressions, ciphertext and custom values have classes of their own here; BSON's codec
options teach them to the driver, so that whoever reads with :data:`BSON_CODEC_OPTIONS` gets values,
except for custom ones: :func:`restore_custom_values` makes them.

Specified by the table in :mod:`bolide.core.values`; custom values
follow Meteor's package ``mongo``.
"""

import re
from collections.abc import Mapping
from datetime import UTC

# What BSON decodes to, and what its codec options are asked to encode.
from typing import Any, Final, cast

import bson
from bson import BSON, Binary
from bson import Regex as BSONRegex
from bson.codec_options import (
    CodecOptions,
    DatetimeConversion,
    TypeCodec,
    TypeDecoder,
    TypeRegistry,
)
from bson.errors import BSONError

from bolide.core.ejson import JSON, from_json, to_json
from bolide.core.errors import EJSONError
from bolide.core.values import (
    CustomValue,
    Document,
    Encrypted,
    Regex,
    is_encrypted,
    normalize,
)

__all__ = ["BSON_CODEC_OPTIONS", "from_bson", "restore_custom_values", "to_bson"]

_PREFIX: Final = "EJSON"
_TYPE_KEY: Final = "EJSON$type"
_VALUE_KEY: Final = "EJSON$value"
_MAX_PATH: Final = 200

# What the encoder raises; the texts quote values, so none of them goes further up.
_ENCODING_ERRORS: Final = (
    BSONError,
    EJSONError,
    OverflowError,
    RecursionError,
    TypeError,
    ValueError,
)

_BSON_FLAGS: Final = {
    "i": re.IGNORECASE,
    "l": re.LOCALE,
    "m": re.MULTILINE,
    "s": re.DOTALL,
    "u": re.UNICODE,
    "x": re.VERBOSE,
}


class _RegexCodec(TypeCodec):
    """JavaScript's other letters tell how to search, not what matches: BSON does not have them."""

    @property
    def python_type(self) -> type[Regex]:
        return Regex

    @property
    def bson_type(self) -> type[Any]:
        return BSONRegex

    def transform_python(self, value: Regex) -> BSONRegex[str]:
        flags = 0
        for letter in value.flags:
            flags |= _BSON_FLAGS.get(letter, 0)
        return BSONRegex(value.pattern, flags)

    def transform_bson(self, value: BSONRegex[str]) -> Regex:
        regex: Regex = normalize(value)
        return regex


class _EncryptedDecoder(TypeDecoder):
    @property
    def bson_type(self) -> type[Binary]:
        return Binary

    def transform_bson(self, value: Binary) -> Binary:
        return Encrypted(value) if is_encrypted(value) else value


def _encode_other(value: Any) -> Any:
    if isinstance(value, CustomValue):
        return _with_prefix(to_json(value))
    return value


BSON_CODEC_OPTIONS: Final[CodecOptions[Document]] = CodecOptions(
    document_class=dict,
    tz_aware=True,
    tzinfo=UTC,
    datetime_conversion=DatetimeConversion.DATETIME_AUTO,
    type_registry=TypeRegistry([_RegexCodec(), _EncryptedDecoder()], _encode_other),
)
"""For the driver: dates are aware and in UTC, beyond the years 1 to 9999 ``DatetimeMS``."""


def to_bson(document: Document) -> bytes:
    """Encode a document of values, as :func:`bolide.core.values.normalize` makes them.

    Raises:
        ValueError: If BSON cannot hold a part, such as an invalid date, UNDEFINED or an integer
            beyond 64 bits; the text names the path, never the value.
    """
    try:
        return bson.encode(document, codec_options=BSON_CODEC_OPTIONS)
    except _ENCODING_ERRORS:
        path = ".".join(_path_of_fault(document))
    raise ValueError(f"The value at {path!r} is none that BSON can hold.")


def from_bson(data: bytes) -> Document:
    """Decode what :func:`to_bson` or a driver encoded.

    Raises:
        ValueError: If the data are no BSON.
    """
    try:
        document = BSON(data).decode(BSON_CODEC_OPTIONS)
    except BSONError:
        raise ValueError("The data are not one document of BSON.") from None
    # Looking for the name in the bytes is a hundred times faster than walking the document.
    if _TYPE_KEY.encode() not in data:
        return document
    return {name: restore_custom_values(value) for name, value in document.items()}


# Whatever BSON held.
def restore_custom_values(value: Any) -> Any:
    """Make custom values of the objects that BSON keeps in their place.

    An object whose type is not registered, or whose content the type's factory refuses, stays an
    object: one such document must not keep others from being read.

    Returns:
        A copy in which only scalars are shared.
    """
    if isinstance(value, list):
        return [restore_custom_values(item) for item in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    items = cast("dict[str, Any]", value)
    if len(items) == 2 and _TYPE_KEY in items and _VALUE_KEY in items:
        try:
            return from_json(_without_prefix(items))
        except EJSONError:
            return items
    return {name: restore_custom_values(item) for name, item in items.items()}


def _with_prefix(json: JSON) -> JSON:
    """Put ``EJSON`` before every name, so that none begins with ``$``."""
    if isinstance(json, list):
        return [_with_prefix(item) for item in json]
    if isinstance(json, dict):
        return {_PREFIX + name: _with_prefix(item) for name, item in json.items()}
    return json


def _without_prefix(json: JSON) -> JSON:
    if isinstance(json, list):
        return [_without_prefix(item) for item in json]
    if isinstance(json, dict):
        return {name.removeprefix(_PREFIX): _without_prefix(item) for name, item in json.items()}
    return json


def _path_of_fault(document: Document) -> list[str]:
    """Find the part that does not encode by encoding ever smaller ones."""
    path: list[str] = []
    part: object = document
    while len(path) < _MAX_PATH:
        for name, item in _children(part):
            if not _encodes(item):
                path.append(name)
                part = item
                break
        else:
            break
    return path


def _children(part: object) -> list[tuple[str, object]]:
    if isinstance(part, Mapping):
        return [(str(name), item) for name, item in cast("Mapping[object, object]", part).items()]
    if isinstance(part, (list, tuple)):
        return [(str(index), item) for index, item in enumerate(cast("list[object]", part))]
    return []


def _encodes(value: object) -> bool:
    try:
        bson.encode({"": value}, codec_options=BSON_CODEC_OPTIONS)
    except _ENCODING_ERRORS:
        return False
    return True
