"""How the server's answers become values, also documents that other programs wrote."""

from collections.abc import Mapping

# What BSON holds.
from typing import Any, Final, cast

from bson import BSON
from bson.codec_options import CodecOptions
from bson.dbref import DBRef
from bson.raw_bson import RawBSONDocument
from pymongo.asynchronous.client_session import AsyncClientSession
from pymongo.asynchronous.database import AsyncDatabase

from bolide.core.bson_codec import BSON_CODEC_OPTIONS, restore_custom_values
from bolide.core.values import Document
from bolide.server.stores.mongo.events import cut

__all__ = ["CODEC_OPTIONS", "as_values", "run_command", "run_stream_command"]

CODEC_OPTIONS: Final[CodecOptions[Document]] = BSON_CODEC_OPTIONS.with_options(
    # One bad string would keep a whole answer from being read, again and again.
    unicode_decode_error_handler="replace"
)

# What comes back stays bytes until it is decoded here.
_RAW: Final[CodecOptions[RawBSONDocument]] = CodecOptions(
    document_class=RawBSONDocument,
    type_registry=BSON_CODEC_OPTIONS.type_registry,
    tz_aware=True,
)
_CUSTOM: Final = b"EJSON$type"
_REFERENCE: Final = b"$ref"


async def run_command(
    database: AsyncDatabase[Any], command: Mapping[str, Any], session: AsyncClientSession
) -> Document:
    """Run a command and return the answer, values in it as they are everywhere else.

    The driver applies codecs of types to its own cursors only, so the answer is decoded here.

    Raises:
        PyMongoError: If it failed.
    """
    return _decoded(await _raw_answer(database, command, session))


async def run_stream_command(
    database: AsyncDatabase[Any], command: Mapping[str, Any], session: AsyncClientSession
) -> Document:
    """Run a command of a change stream; as :func:`run_command`.

    Returns:
        The answer; its events are decoded one by one when they are asked for.

    Raises:
        PyMongoError: If it failed.
    """
    raw = await _raw_answer(database, command, session)
    answer = None if _is_special(raw) else cut(raw, CODEC_OPTIONS)
    return _decoded(raw) if answer is None else answer


async def _raw_answer(
    database: AsyncDatabase[Any], command: Mapping[str, Any], session: AsyncClientSession
) -> bytes:
    reply = await database.command(dict(command), session=session, codec_options=_RAW)
    return bytes(reply.raw)


def _decoded(raw: bytes) -> Document:
    answer = BSON(raw).decode(CODEC_OPTIONS)
    return cast("Document", as_values(answer)) if _is_special(raw) else answer


def _is_special(raw: bytes) -> bool:
    """Tell whether something in an answer may have to be made a value after it was decoded."""
    # Looking for a name in the bytes is a hundred times faster than walking the documents.
    return _CUSTOM in raw or _REFERENCE in raw


def as_values(value: Any) -> Any:
    """Return what BSON decoded with custom values, and references as the objects they are."""
    return restore_custom_values(_without_references(value))


def _without_references(value: Any) -> Any:
    if isinstance(value, DBRef):
        return _without_references(dict(value.as_doc()))
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value)
        return {name: _without_references(item) for name, item in items.items()}
    if isinstance(value, list):
        return [_without_references(item) for item in cast("list[object]", value)]
    return value
