"""How the server's answers become values, also documents that other programs wrote."""

from collections.abc import Iterator, Mapping

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
    reply = await database.command(dict(command), session=session, codec_options=_RAW)
    return _decoded(bytes(reply.raw))


async def run_stream_command(
    database: AsyncDatabase[Any], command: Mapping[str, Any], session: AsyncClientSession
) -> Document:
    """Run a command of a change stream; as :func:`run_command`.

    Args:
        database: Where.
        command: Without values of classes that only Bolide has.
        session: Of the cursor.

    Returns:
        The answer; its events are decoded one by one when they are asked for.

    Raises:
        PyMongoError: If it failed.
    """
    reply = await database.command(dict(command), session=session, codec_options=_OPENED)
    return reply.answer


class _Opened(RawBSONDocument):
    """An answer of a stream that is decoded once: the driver looks for its own fields in it, too.

    Attributes:
        answer: All of it, events not decoded yet.
    """

    __slots__ = ("answer",)

    def __init__(
        self,
        bson_bytes: bytes | memoryview,
        codec_options: CodecOptions[RawBSONDocument] | None = None,
    ) -> None:
        """Decode it."""
        super().__init__(bson_bytes, codec_options)
        raw = bytes(bson_bytes)
        answer = None if _is_special(raw) else cut(raw, CODEC_OPTIONS)
        self.answer: Document = _decoded(raw) if answer is None else answer

    def __getitem__(self, item: str) -> Any:
        return self.answer[item]

    def __iter__(self) -> Iterator[str]:
        return iter(self.answer)

    def __len__(self) -> int:
        return len(self.answer)

    # A mapping's own way to say that a field is not there is an error, which takes longer.
    def get(  # pyright: ignore[reportIncompatibleMethodOverride]
        self, key: str, default: Any = None
    ) -> Any:
        """Return a field."""
        return self.answer.get(key, default)


# Without codecs of types: with them the driver makes options for each answer.
_OPENED: Final[CodecOptions[_Opened]] = CodecOptions(document_class=_Opened)


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
