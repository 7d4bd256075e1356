"""Documents as the stores keep them: checked, normalised, and as BSON."""

from collections.abc import Mapping
from typing import Any, Final

from pymongo.errors import WriteError

from bolide.core.bson_codec import to_bson
from bolide.core.values import Document, normalize
from bolide.server.stores.embedded.errors import BAD_VALUE, DOCUMENT_TOO_LARGE

__all__ = ["MAX_DOCUMENT_BYTES", "encode", "storable"]

MAX_DOCUMENT_BYTES: Final = 16 * 1024 * 1024
"""Largest document, bytes of BSON; as MongoDB's, so that an app can move there."""


# An app may give values of any type.
def storable(value: Mapping[str, Any]) -> Document:
    """Copy what an app gave, as it will be read again.

    Raises:
        WriteError: If a document cannot hold it; the text names the path.
    """
    try:
        document: Document = normalize(value)
    except (TypeError, ValueError) as error:
        raise WriteError(str(error), BAD_VALUE) from None
    return document


def encode(document: Document) -> bytes:
    """Return a document as BSON.

    Raises:
        WriteError: If it holds what BSON cannot hold, or is too large.
    """
    try:
        body = to_bson(document)
    except ValueError as error:
        raise WriteError(str(error), BAD_VALUE) from None
    if len(body) > MAX_DOCUMENT_BYTES:
        raise WriteError(
            f"The document has {len(body)} bytes, and {MAX_DOCUMENT_BYTES} is the most:"
            " split it, or keep large contents elsewhere.",
            DOCUMENT_TOO_LARGE,
        )
    return body
