"""The chunked coding, read piece by piece and written anew (RFC 9112, section 7.1).

Lines end with CRLF and nothing else, a size has at most 16 digits, extensions follow the grammar
and are dropped, trailers are fields as in a head. Nothing is held back but an unfinished line or
unfinished trailers, so a body of any size needs the same memory.
"""

import re
from enum import Enum
from typing import Final

from bolide.balancer.heads.errors import HeadError
from bolide.balancer.heads.fields import (
    FORBIDDEN_TRAILERS,
    TOKEN,
    is_forwarding,
    read_fields,
)
from bolide.balancer.heads.reading import cut

__all__ = ["MAX_CHUNK_BYTES", "MAX_CHUNK_LINE_BYTES", "MAX_TRAILER_BYTES", "Chunks"]

MAX_CHUNK_LINE_BYTES: Final = 256
"""Longest line with the size of a chunk and its extensions, CRLF included."""

MAX_CHUNK_BYTES: Final = 10**18 - 1
"""Largest chunk: what fits into 64 bits with a sign wherever it is read next."""

MAX_TRAILER_BYTES: Final = 8_192
"""All trailers, with the CRLF behind them."""

_QUOTED: Final = (
    rb'"(?:[\t\x20\x21\x23-\x5b\x5d-\x7e\x80-\xff]|\\[\t\x20-\x7e\x80-\xff])*+"'  # RFC 9110, 5.6.4
)
_SIZE_LINE: Final = re.compile(
    rb"([0-9A-Fa-f]{1,16}+)"
    rb"(?:[ \t]*+;[ \t]*+" + TOKEN + rb"++"
    rb"(?:[ \t]*+=[ \t]*+(?:" + TOKEN + rb"++|" + _QUOTED + rb"))?+)*+\r\n"
)
_BEGUN_SIZE_LINE: Final = re.compile(rb"[0-9A-Fa-f]{1,16}+(?:[ \t;][\t\x20-\x7e\x80-\xff]*+)?+\r?+")


class _Part(Enum):
    SIZE = "size"
    DATA = "data"
    DATA_END = "data end"
    TRAILERS = "trailers"
    ENDED = "ended"


class Chunks:
    """What is left of one chunked body.

    Attributes:
        is_complete: Whether all of it came.
    """

    __slots__ = ("_held", "_left", "_max_fields", "_part", "_strips", "is_complete")

    def __init__(self, *, max_fields: int, strips: bool) -> None:
        """Begin a body.

        Args:
            max_fields: How many trailers there may be.
            strips: Let only the data go on.
        """
        self.is_complete = False
        self._max_fields = max_fields
        self._strips = strips
        self._part = _Part.SIZE
        # Of the data of a chunk.
        self._left = 0
        self._held: bytes = b""

    def receive(self, data: bytes) -> tuple[bytes, bytes]:
        """Take what came; see :meth:`bolide.balancer.heads.body.Body.receive`."""
        if self._held:
            data = self._held + data
            self._held = b""
        goes_on: list[bytes] = []
        at = 0
        end = len(data)
        while at < end and not self.is_complete:
            if self._part is _Part.DATA:
                piece = data[at : at + self._left]
                goes_on.append(piece)
                at += len(piece)
                self._left -= len(piece)
                if not self._left:
                    self._part = _Part.DATA_END
                continue
            if self._part is _Part.SIZE:
                size = self._receive_size(data, at, goes_on)
            elif self._part is _Part.DATA_END:
                size = self._receive_data_end(data, at, goes_on)
            else:
                size = self._receive_trailers(data[at:], goes_on)
            if not size:
                self._held = data[at:]
                at = end
            at += size
        return b"".join(goes_on), data[at:]

    def _receive_size(self, data: bytes, at: int, goes_on: list[bytes]) -> int:
        """Return how many bytes were taken, as those below; 0 if what came is not complete."""
        line = _SIZE_LINE.match(data, at, at + MAX_CHUNK_LINE_BYTES)
        if line is None:
            begun = data[at:]
            if len(begun) >= MAX_CHUNK_LINE_BYTES or not _BEGUN_SIZE_LINE.fullmatch(begun):
                raise HeadError(400, "chunk-size")
            return 0
        self._left = int(line[1], 16)
        if self._left > MAX_CHUNK_BYTES:
            raise HeadError(400, "chunk-size")
        self._part = _Part.DATA if self._left else _Part.TRAILERS
        if self._left and not self._strips:
            goes_on.append(b"%x\r\n" % self._left)
        return line.end() - at

    def _receive_data_end(self, data: bytes, at: int, goes_on: list[bytes]) -> int:
        if not data.startswith(b"\r\n", at):
            if data[at:] != b"\r":
                raise HeadError(400, "chunk-end")
            return 0
        self._part = _Part.SIZE
        if not self._strips:
            goes_on.append(b"\r\n")
        return 2

    def _receive_trailers(self, data: bytes, goes_on: list[bytes]) -> int:
        lines: list[bytes] = []
        if data.startswith(b"\r\n"):
            size = 2
        elif data == b"\r":
            size = 0
        else:
            try:
                size = cut(data, MAX_TRAILER_BYTES)
                if size:
                    lines = self._trailers(data[:size])
            except HeadError as error:
                # A body is refused with one status, whatever is wrong with it.
                raise HeadError(400, error.name) from None
        if size:
            self.is_complete = True
            if not self._strips:
                goes_on.append(b"0\r\n%b\r\n" % b"".join(lines))
        return size

    def _trailers(self, section: bytes) -> list[bytes]:
        """Return those trailers that may pass, as lines."""
        lines: list[bytes] = []
        for field in read_fields(section, 0, max_fields=self._max_fields, status=400):
            name = field[0].lower().replace(b"_", b"-")
            if name not in FORBIDDEN_TRAILERS and not is_forwarding(name):
                lines.append(b"%b: %b\r\n" % field)
        return lines
