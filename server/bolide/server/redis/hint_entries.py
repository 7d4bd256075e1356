"""The entries in which other programs tell what they wrote: ``collection`` and ``id``, no more.

An entry of the stream has exactly two fields: ``collection`` holds a collection's name, ``id`` the
document's ``_id`` as EJSON. ``XADD bolide:hints '*' collection patients id '"p01"'``
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bolide.core import ejson
from bolide.core.errors import BolideError, EJSONError
from bolide.core.values import EJSONValue, Regex

__all__ = ["MAX_ENTRY_BYTES", "BadEntry", "Hint", "entry_fields", "read_entry"]

MAX_ENTRY_BYTES: Final = 4_096
"""Most that name and id may take together, bytes of UTF-8."""

_MAX_NAME_BYTES: Final = 255  # MongoDB's own bound


class BadEntry(BolideError):
    """What is in an entry is no hint.

    Attributes:
        outcome: ``malformed`` or ``too large``.
    """

    code = "bad-hint"

    def __init__(self, outcome: str) -> None:
        """Keep what is wrong; no value is kept."""
        super().__init__(outcome)
        self.outcome = outcome

    def __str__(self) -> str:
        """Say what an entry holds."""
        return (
            "A hint is the name of a collection and an id,"
            f" of {MAX_ENTRY_BYTES} bytes together at most."
        )


@dataclass(frozen=True, slots=True)
class Hint:
    """A document that was written, or is said to have been.

    Attributes:
        collection: Its collection.
        id: Its ``_id``.
    """

    collection: str
    id: EJSONValue


def entry_fields(hint: Hint) -> tuple[str, str, str, str]:
    """Return the fields of the entry that tells a hint.

    Raises:
        BadEntry: If there is none; what :func:`read_entry` refuses is not written.
    """
    fields = ("collection", hint.collection, "id", ejson.canonical(hint.id))
    read_entry([field.encode() for field in fields])
    return fields


def read_entry(fields: Sequence[bytes]) -> Hint:
    """Read an entry; anybody may have written it.

    Args:
        fields: Names and values in turn, as Redis tells them.

    Raises:
        BadEntry: If it is no hint.
    """
    if sum(map(len, fields)) > MAX_ENTRY_BYTES + len(b"collectionid"):
        raise BadEntry("too large")
    named = dict(zip(fields[::2], fields[1::2], strict=False))
    if len(fields) != 4 or named.keys() != {b"collection", b"id"}:
        raise BadEntry("malformed")
    try:
        collection = named[b"collection"].decode()
        id = ejson.parse(named[b"id"].decode())
    except (UnicodeDecodeError, EJSONError, RecursionError):
        raise BadEntry("malformed") from None
    # MongoDB's rules for names and ids.
    is_name = 0 < len(named[b"collection"]) <= _MAX_NAME_BYTES and not {"\0", "$"} & {*collection}
    if not is_name or isinstance(id, list | Regex):
        raise BadEntry("malformed")
    return Hint(collection, id)
