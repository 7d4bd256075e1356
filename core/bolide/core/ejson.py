"""EJSON: JSON that keeps dates, bytes, ids and the other values of :mod:`bolide.core.values`.

Follows Meteor's package ``ejson``. Our extensions, for sessions that negotiated ``bolide``:
``{"$type": "cse", "$value": base64}`` is an encrypted field and ``{"$type": "long", "$value":
"..."}`` an integer beyond 2**53. A deliberate difference: ``{"$date": null}`` is read as an invalid
date, since that is what an invalid date is written as; Meteor reads it as 1970.

Trees are copied only where a value changes, so plain JSON passes through as it is.
"""

import msgspec

from bolide.core._ejson_reader import Factory, factories, read
from bolide.core._ejson_writer import write
from bolide.core._json_text import JSON, write_json
from bolide.core.errors import EJSONError
from bolide.core.values import EJSONValue, Undefined

__all__ = [
    "JSON",
    "Factory",
    "add_type",
    "canonical",
    "from_json",
    "parse",
    "stringify",
    "to_json",
]


def add_type(name: str, factory: Factory) -> None:
    """Register an application's own type, for the whole process.

    Args:
        name: What its ``type_name()`` returns; the same in the client.
        factory: Called with what ``to_json_value()`` returned; makes an equal value. Any
            exception means that what a client sent is no such value.

    Raises:
        ValueError: If the name is taken.
    """
    if name in factories:
        raise ValueError(f"The EJSON type {name!r} is registered already; choose another name.")
    factories[name] = factory


def to_json(value: EJSONValue | Undefined, *, bolide: bool = True) -> JSON:
    """Write a value as plain JSON.

    Args:
        value: A value; UNDEFINED is left out of objects and null elsewhere. Tuples count as
            lists and any ``Mapping`` as an object.
        bolide: Whether the reader knows our extensions. If not, an encrypted field becomes
            ``$binary`` and a big integer a plain number.

    Returns:
        The tree, which shares what needed no change with ``value``.

    Raises:
        EJSONError: If a part is of a type that no document may hold.
    """
    return write(value, bolide)


def from_json(json: JSON) -> EJSONValue:
    """Read a value from plain JSON; integers beyond 64 bits become floats.

    Raises:
        EJSONError: If a ``$type`` was not registered or a special object is malformed.
    """
    return read(json)


def parse(text: str) -> EJSONValue:
    """Read a value from EJSON text.

    Raises:
        EJSONError: If the text is no JSON, or as :func:`from_json` says.
    """
    try:
        json = msgspec.json.decode(text)
    except (ValueError, RecursionError):
        # The decoder's own text may quote what it read.
        raise EJSONError("The text is not valid JSON.") from None
    return from_json(json)


def stringify(
    value: EJSONValue | Undefined,
    *,
    indent: int | str | bool | None = None,
    canonical: bool = False,
) -> str:
    """Write a value as EJSON text, as Meteor's ``EJSON.stringify`` does.

    Args:
        value: A value.
        indent: Number of spaces, or the text itself; True means two spaces.
        canonical: Sort the keys of objects by their UTF-16 code units, as JavaScript does.

    Raises:
        EJSONError: As :func:`to_json` says.
    """
    return write_json(to_json(value), indent=indent, sort_keys=canonical)


def canonical(value: EJSONValue | Undefined) -> str:
    """Write a value in the one form that all its equals share: a key for dicts and digests.

    Keys are sorted, numbers are written as ECMAScript does. Beyond 2**53 an integer differs from
    the float that equals it, since a JavaScript client sees two types there.

    Raises:
        EJSONError: As :func:`to_json` says.
    """
    return write_json(to_json(value), indent=None, sort_keys=True)
