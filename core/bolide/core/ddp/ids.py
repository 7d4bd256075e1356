"""Document ids as the strings that DDP messages carry.

A string goes out as it is; an ``ObjectId`` as its 24 hex digits; a string that could be taken for
something else gets ``-`` in front; any other value becomes ``~`` and its EJSON.

Follows Meteor's package ``mongo-id``.
"""

import re
from typing import Final

from bolide.core.ejson import parse, stringify
from bolide.core.values import UNDEFINED, EJSONValue, ObjectId, Undefined

__all__ = ["id_parse", "id_stringify"]

_OBJECT_ID: Final = re.compile("[0-9a-f]{24}")


def id_stringify(value: EJSONValue | Undefined) -> str:
    """Write an ``_id`` for the wire.

    Raises:
        EJSONError: If it is of a type that no document may hold.
    """
    if isinstance(value, str):
        if value.startswith(("-", "~")) or _OBJECT_ID.fullmatch(value):
            return f"-{value}"
        return value
    if isinstance(value, ObjectId):
        return str(value)
    if value is UNDEFINED:
        return "-"
    return f"~{stringify(value)}"


def id_parse(text: str) -> EJSONValue | Undefined:
    """Read what :func:`id_stringify` wrote.

    Raises:
        EJSONError: If EJSON was announced and is not there.
    """
    if text == "-":
        return UNDEFINED
    if text.startswith("-"):
        return text[1:]
    if text.startswith("~"):
        return parse(text[1:])
    return ObjectId(text) if _OBJECT_ID.fullmatch(text) else text
