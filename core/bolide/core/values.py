"""The value model: what a document, an argument or a result may hold.

========================  ===========================================  =========================
Python                    wire (EJSON)                                 BSON
========================  ===========================================  =========================
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
``CustomValue``           ``$type``, ``$value``                        ``EJSON$type``, ``EJSON$value``
========================  ===========================================  =========================

1 equals 1.0 and neither equals True. Values are treated as immutable everywhere: a change makes
a new container, so that many sessions may share one document.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Any, Final, Literal, Protocol, TypeAlias, runtime_checkable

from bson import Binary, Decimal128, Int64, ObjectId
from bson.datetime_ms import DatetimeMS

__all__ = [
    "UNDEFINED",
    "CustomValue",
    "DatetimeMS",
    "Decimal128",
    "Document",
    "EJSONValue",
    "Encrypted",
    "Fields",
    "Int64",
    "ObjectId",
    "Regex",
    "Undefined",
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


@runtime_checkable
class CustomValue(Protocol):
    """An application's own EJSON type; registered with :func:`bolide.core.ejson.add_type`."""

    def type_name(self) -> str:
        """Return the name it was registered under."""
        ...

    def to_json_value(self) -> "EJSONValue":
        """Return what its factory makes an equal value from."""
        ...


EJSONValue: TypeAlias = (
    "bool | int | float | str | bytes | Binary | datetime | DatetimeMS | Decimal128"
    " | ObjectId | Regex | CustomValue | list[EJSONValue] | dict[str, EJSONValue] | None"
)
"""Any value of the table above (``Int64`` is an ``int``, ``Encrypted`` a ``Binary``)."""

# Documents come from drivers and applications, whose values no type checker knows.
Document: TypeAlias = dict[str, Any]
"""A document with its ``_id``."""

Fields: TypeAlias = Mapping[str, Any]
"""Top-level fields by name, without ``_id``; :data:`UNDEFINED` only where a docstring says so."""
