"""The events of one answer of a change stream, decoded a few at a time.

A thousand events decoded at once are megabytes of objects, which the processor's cache does not
hold and which Python's collector looks through again and again. A few that are decoded when their
turn comes, and let go of before the next ones, cost half as much; one at a time, the decoder's
reading of its options would cost as much as a third of an event (docs/design/performance.md).

Specified by BSON 1.1; that ``cursor`` comes first in an answer, and its batch first in it, is what
servers do. An answer that looks different is not cut.
"""

from collections.abc import Iterator, Sequence
from struct import Struct
from typing import Final, TypeAlias, overload

from bson import decode  # pyright: ignore[reportUnknownVariableType]
from bson.codec_options import CodecOptions
from bson.errors import InvalidBSON

from bolide.core.values import Document

__all__ = ["SIZE", "Events", "cut"]

SIZE: Final = "size of fullDocument"
"""Name under which an event holds how many bytes of BSON its document is."""

_INT32: Final = Struct("<i")
_CURSOR: Final = b"\x03cursor\0"
_BATCHES: Final = {"nextBatch": b"\x04nextBatch\0", "firstBatch": b"\x04firstBatch\0"}
_DOCUMENT: Final = b"\x03fullDocument\0"
_AT_ONCE: Final = 16
_NO_EVENTS: Final = b"\x05\0\0\0\0"

_Span: TypeAlias = tuple[int, int, int]


def cut(raw: bytes, options: CodecOptions[Document]) -> Document | None:
    """Decode an answer up to its events.

    Args:
        raw: The answer.
        options: How it, and each event, is decoded.

    Returns:
        The answer with :class:`Events` in it; None if it looks different.
    """
    cursor = 4 + len(_CURSOR)
    if not raw.startswith(_CURSOR, 4):
        return None
    for name, begins in _BATCHES.items():  # noqa: B007 - used after the loop
        if raw.startswith(begins, cursor + 4):
            break
    else:
        return None
    begin = cursor + 4 + len(begins)
    end = begin + _int32(raw, begin)
    rest = bytearray(raw[:begin] + _NO_EVENTS + raw[end:])
    for place in (0, cursor):
        _INT32.pack_into(rest, place, _int32(raw, place) - (end - begin) + len(_NO_EVENTS))
    answer = decode(rest, options)
    answer["cursor"][name] = Events(raw, begin, end, options)
    return answer


class Events(Sequence[Document]):
    """Events, decoded when they are asked for; hold none longer than it is needed.

    Args:
        raw: The answer.
        begin: Where the array begins in it.
        end: Where it ends.
        options: How each is decoded.
    """

    __slots__ = ("_last", "_options", "_raw", "_spans")

    def __init__(self, raw: bytes, begin: int, end: int, options: CodecOptions[Document]) -> None:
        """Find where each of them is."""
        self._raw = raw
        self._options = options
        # Where its field begins, its document, and where both end.
        self._spans: list[_Span] = []
        # It is looked at before the others.
        self._last: Document | None = None
        place, last = begin + 4, end - 1
        while place < last:
            field, place = place, raw.index(0, place) + 1  # after its type and its number
            after = place + _int32(raw, place)
            self._spans.append((field, place, after))
            place = after

    def __len__(self) -> int:
        return len(self._spans)

    def __iter__(self) -> Iterator[Document]:
        last = self._last
        spans = self._spans if last is None else self._spans[:-1]
        for first in range(0, len(spans), _AT_ONCE):
            yield from self._decoded_together(spans[first : first + _AT_ONCE])
        if last is not None:
            yield last

    @overload
    def __getitem__(self, index: int) -> Document: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Document]: ...

    def __getitem__(self, index: int | slice) -> Document | Sequence[Document]:
        if isinstance(index, slice):
            return list(self)[index]
        [event] = self._decoded_together([self._spans[index]])
        if index == -1:
            self._last = event
        return event

    def _decoded_together(self, spans: Sequence[_Span]) -> Iterator[Document]:
        """Decode neighbours as the fields of one document, which is what an array is."""
        raw = self._raw
        fields = raw[spans[0][0] : spans[-1][2]]
        document = b"".join((_INT32.pack(len(fields) + 5), fields, b"\0"))
        try:
            events = decode(document, self._options).values()
        except InvalidBSON:
            # Those before the one that cannot be decoded are as good as any.
            if len(spans) == 1:
                raise
            for span in spans:
                yield from self._decoded_together([span])
            return
        for event, (_, begin, end) in zip(events, spans, strict=True):
            place = raw.find(_DOCUMENT, begin, end)
            if place > 0:
                event[SIZE] = _int32(raw, place + len(_DOCUMENT))
            yield event


def _int32(raw: bytes, place: int) -> int:
    number: int = _INT32.unpack_from(raw, place)[0]
    return number
