"""Digests: 16 bytes that stand for what both sides of a session hold.

Taken over canonical EJSON, so that every SDK computes the same from the values it received; see
``docs/reference/ddp-extensions.md``.
"""

import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Final

from bolide.core.ejson import canonical
from bolide.core.values import Fields

__all__ = ["DIGEST_BYTES", "digest_text", "document_digest", "parse_digest", "view_digest"]

DIGEST_BYTES: Final = 16
"""Length of a digest, bytes."""

_PLAIN: Final = re.compile("[A-Za-z0-9_-]*")
_TEXT: Final = re.compile("[A-Za-z0-9_-]{22}")


def document_digest(fields: Fields) -> bytes:
    """Return the digest of a document.

    Args:
        fields: Its fields as they went over the wire, without ``_id``.

    Raises:
        EJSONError: If a value is of a type that no document may hold.
    """
    return _digest(canonical(dict(fields)))


def view_digest(documents: Mapping[str, bytes]) -> bytes:
    """Return the digest of what a client shows of one collection.

    Args:
        documents: Id as on the wire -> digest of the document.
    """
    if _PLAIN.fullmatch("".join(documents)):
        # What canonical EJSON gives for such ids, which need no escape and no UTF-16 to be sorted.
        entries = [f'"{id}":"{digest_text(documents[id])}"' for id in sorted(documents)]
        return _digest(f"{{{','.join(entries)}}}")
    return _digest(canonical({id: digest_text(digest) for id, digest in documents.items()}))


def digest_text(digest: bytes) -> str:
    """Write a digest for the wire: 22 characters of base64url."""
    return urlsafe_b64encode(digest).decode().rstrip("=")


def parse_digest(text: object) -> bytes:
    """Read what :func:`digest_text` wrote.

    Raises:
        ValueError: If it is no digest.
    """
    if not isinstance(text, str) or not _TEXT.fullmatch(text):
        raise ValueError("not a digest")
    return urlsafe_b64decode(text + "==")


def _digest(text: str) -> bytes:
    return sha256(text.encode()).digest()[:DIGEST_BYTES]
