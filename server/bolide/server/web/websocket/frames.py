"""Read and write the frames of RFC 6455, as a server.

Theory of operation. Bytes go in with :meth:`FrameReader.receive_data`; events come out one at a
time with :meth:`FrameReader.next_event`, so that whoever cannot take more messages stops asking
and the rest stays as it came: raw bytes. A complete, unfragmented text frame, which is what
clients send, takes one branch, one unmasking and one decoding. Everything else goes through a
message under construction: the payload of a data frame is unmasked, checked and kept as it
arrives, whole or not, so a wrong byte in a large text is noticed at once and a peer that sends one
byte at a time costs one byte at a time. Control frames wait until they are complete; they hold 125
bytes at most. After a close frame or a violation the reader forgets all data and reads no more.

No extension is ever agreed on, so the three RSV bits must be 0.
"""

import codecs
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, TypeAlias

from bolide.core.errors import LocalProtocolError

try:
    from websockets.speedups import apply_mask
except ImportError:  # a websockets that was installed without its C extension
    from websockets.utils import apply_mask

__all__ = [
    "MAX_CONTROL_BYTES",
    "CloseCode",
    "Closed",
    "FrameEvent",
    "FrameReader",
    "Ping",
    "Pong",
    "Violation",
    "binary_frame",
    "close_frame",
    "is_sendable",
    "ping_frame",
    "pong_frame",
    "text_frame",
]

MAX_CONTROL_BYTES: Final = 125
"""Payload of a control frame, at most (RFC 6455, section 5.5)."""

_FIN, _RSV, _OPCODE = 0x80, 0x70, 0x0F
_MASKED, _LENGTH = 0x80, 0x7F
_LENGTH_16, _LENGTH_64 = 126, 127
_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
_IS_CONTROL = 0x8
_KNOWN: Final = frozenset({_CONTINUATION, _TEXT, _BINARY, _CLOSE, _PING, _PONG})
_WHOLE_TEXT = _FIN | _TEXT
_SHORT_TEXTS: Final = tuple(bytes((_WHOLE_TEXT, length)) for length in range(_LENGTH_16))
_16_BITS, _63_BITS = 1 << 16, 1 << 63
_NEW_DECODER = codecs.getincrementaldecoder("utf-8")


class CloseCode(IntEnum):
    """Why a WebSocket is closed (RFC 6455, section 7.4, and the IANA registry)."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED = 1003
    NO_STATUS = 1005
    """Stands for a close frame without a code; never sent."""
    ABNORMAL = 1006
    """Stands for a connection that ended without a close frame; never sent."""
    INVALID_DATA = 1007
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL_ERROR = 1011
    SERVICE_RESTART = 1012


@dataclass(frozen=True, slots=True)
class Ping:
    """The peer asks for a sign of life; the answer is a pong with the same payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """The peer gives a sign of life."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Closed:
    """The peer sent its close frame; nothing follows.

    Attributes:
        code: Why; ``CloseCode.NO_STATUS`` if the peer did not say.
        reason: In words, for people.
    """

    code: int
    reason: str


@dataclass(frozen=True, slots=True)
class Violation:
    """The peer broke the protocol; nothing after it is read.

    Attributes:
        code: What the close frame to the peer says.
        reason: One line for the peer, without any of its data.
    """

    code: CloseCode
    reason: str


FrameEvent: TypeAlias = str | bytes | Ping | Pong | Closed | Violation
"""A text message, a binary message, or what a control frame or a violation means."""


class FrameReader:
    """What a client sends, as messages.

    Args:
        max_message_bytes: Largest payload of one message, all its fragments together, bytes; a
            larger one is a violation as soon as a frame's header says so.
    """

    __slots__ = (
        "_at", "_data", "_decoder", "_ended", "_fin", "_left", "_mask", "_max", "_message",
        "_opcode",
    )  # fmt: skip

    def __init__(self, max_message_bytes: int) -> None:
        """Begin before the first frame."""
        self._max = max_message_bytes
        self._data = b""
        self._at = 0
        self._ended = False
        # The message under construction; _opcode is 0 between messages.
        self._opcode = 0
        self._message: bytearray | None = None
        self._decoder: codecs.IncrementalDecoder | None = None
        # The data frame that is only partly here; -1 between frames.
        self._left = -1
        self._mask = b""
        self._fin = False

    @property
    def waiting_bytes(self) -> int:
        """Bytes received and not yet looked at."""
        return len(self._data) - self._at

    def receive_data(self, data: bytes) -> None:
        """Take what the socket gave; ignored after the end."""
        if self._ended:
            return
        if self._at < len(self._data):
            self._data = self._data[self._at :] + data
        else:
            self._data = data
        self._at = 0

    def next_event(self) -> FrameEvent | None:
        """Return what the peer said next, or None until more data are here."""
        if self._left >= 0:
            event = self._read_payload()
            if event is not None or self._left >= 0:
                return event
        while True:
            data, at = self._data, self._at
            if len(data) < at + 2:
                return self._wait()
            first, second = data[at], data[at + 1]
            length = second & _LENGTH
            start = at + 2
            if length >= _LENGTH_16:
                size = 2 if length == _LENGTH_16 else 8
                is_whole = len(data) >= start + size
                too_long = length if first & _IS_CONTROL else 0
                length = int.from_bytes(data[start : start + size], "big")
                if not is_whole or length < (_LENGTH_16 if size == 2 else _16_BITS):
                    # What can be seen to be wrong need not wait for the rest.
                    violation = self._check(first, second, too_long)
                    if violation or not is_whole:
                        return violation or self._wait()
                    return self._fail(CloseCode.PROTOCOL_ERROR, "Length not in its shortest form")
                start += size
            end = start + 4 + length
            if (
                first == _WHOLE_TEXT
                and second & _MASKED
                and end <= len(data)
                and not self._opcode
                and length <= self._max
            ):
                self._at = end
                try:
                    return str(apply_mask(data[start + 4 : end], data[start : start + 4]), "utf-8")
                except UnicodeDecodeError:
                    return self._not_utf8()
            violation = self._check(first, second, length)
            if violation is not None:
                return violation
            if len(data) < start + 4:
                return self._wait()
            mask = data[start : start + 4]
            if first & _IS_CONTROL:
                if len(data) < end:
                    return self._wait()
                self._at = end
                return self._control(first & _OPCODE, apply_mask(data[start + 4 : end], mask))
            self._at = start + 4
            self._begin(first, mask, length)
            event = self._read_payload()
            if event is not None or self._left >= 0:
                return event

    def _wait(self) -> FrameEvent | None:
        """Keep what may become a frame, and not the chunk that it came in."""
        self._data = self._data[self._at :]
        self._at = 0
        return None

    def _check(self, first: int, second: int, length: int) -> Violation | None:
        """Tell what is wrong with a frame's header.

        Args:
            first: Its first byte.
            second: Its second byte.
            length: Of the payload, bytes; 0 while it is not known.
        """
        opcode = first & _OPCODE
        problem: str | None = None
        if first & _RSV:
            problem = "Reserved bit set"
        elif opcode not in _KNOWN:
            problem = "Unknown opcode"
        elif not second & _MASKED:
            problem = "Frame not masked"
        elif opcode & _IS_CONTROL:
            if not first & _FIN:
                problem = "Control frame in fragments"
            elif length > MAX_CONTROL_BYTES:
                problem = "Control frame too long"
        elif opcode == _CONTINUATION and not self._opcode:
            problem = "Nothing to continue"
        elif opcode != _CONTINUATION and self._opcode:
            problem = "New message inside another"
        elif length >= _63_BITS:
            problem = "Length of 64 bits"
        elif length + len(self._message or b"") > self._max:
            return self._fail(CloseCode.TOO_BIG, f"Message over {self._max} bytes")
        return None if problem is None else self._fail(CloseCode.PROTOCOL_ERROR, problem)

    def _begin(self, first: int, mask: bytes, length: int) -> None:
        self._fin = bool(first & _FIN)
        self._mask = mask
        self._left = length
        opcode = first & _OPCODE
        if opcode:
            self._opcode = opcode
            self._message = bytearray()
            self._decoder = _NEW_DECODER() if opcode == _TEXT else None

    def _read_payload(self) -> FrameEvent | None:
        """Take what is here of the current data frame; return the message that it completes."""
        message = self._message
        assert message is not None  # _begin() came first
        at = self._at
        piece = self._data[at : at + self._left]
        if piece:
            self._at = at + len(piece)
            self._left -= len(piece)
            mask = self._mask
            plain = apply_mask(piece, mask)
            turn = len(piece) & 3
            if turn:  # the next piece begins elsewhere in the mask
                self._mask = mask[turn:] + mask[:turn]
            message += plain
            if self._decoder is not None:
                try:
                    self._decoder.decode(plain)
                except UnicodeDecodeError:
                    return self._not_utf8()
        if self._left:
            return self._wait()
        self._left = -1
        return self._complete(message) if self._fin else None

    def _complete(self, message: bytearray) -> FrameEvent:
        is_text = self._decoder is not None
        self._opcode, self._message, self._decoder = 0, None, None
        if not is_text:
            return bytes(message)
        try:
            return message.decode()
        except UnicodeDecodeError:  # it ends within a character
            return self._not_utf8()

    def _control(self, opcode: int, payload: bytes) -> FrameEvent:
        if opcode == _PING:
            return Ping(payload)
        if opcode == _PONG:
            return Pong(payload)
        if not payload:
            self._end()
            return Closed(CloseCode.NO_STATUS, "")
        code = int.from_bytes(payload[:2], "big")
        if len(payload) == 1 or not is_sendable(code):
            return self._fail(CloseCode.PROTOCOL_ERROR, "Close code that may not be sent")
        try:
            reason = str(payload[2:], "utf-8")
        except UnicodeDecodeError:
            return self._not_utf8()
        self._end()
        return Closed(code, reason)

    def _not_utf8(self) -> Violation:
        return self._fail(CloseCode.INVALID_DATA, "Text that is not UTF-8")

    def _fail(self, code: CloseCode, reason: str) -> Violation:
        self._end()
        return Violation(code, reason)

    def _end(self) -> None:
        self._ended = True
        self._data, self._at, self._left = b"", 0, -1
        self._opcode, self._message, self._decoder = 0, None, None


def is_sendable(code: int) -> bool:
    """Tell whether a close frame may carry a code: 1000-1003, 1007-1014 or 3000-4999."""
    return 1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999


def text_frame(payload: bytes) -> bytes:
    """Return the frame of a text message.

    Args:
        payload: The text as UTF-8.
    """
    length = len(payload)
    if length < _LENGTH_16:
        return _SHORT_TEXTS[length] + payload
    return _header(_TEXT, length) + payload


def binary_frame(payload: bytes) -> bytes:
    """Return the frame of a binary message."""
    return _header(_BINARY, len(payload)) + payload


def ping_frame(payload: bytes) -> bytes:
    """Return a ping; the payload, 125 bytes at most, comes back in the pong."""
    return _header(_PING, len(payload)) + payload


def pong_frame(payload: bytes) -> bytes:
    """Return the answer to a ping with this payload, 125 bytes at most."""
    return _header(_PONG, len(payload)) + payload


def close_frame(code: int, reason: str = "") -> bytes:
    """Return the last frame of a connection.

    Args:
        code: Why; ``CloseCode.NO_STATUS`` stands for a frame without a code.
        reason: In words; cut after a whole character where it is too long.

    Raises:
        LocalProtocolError: If the code may not be sent.
    """
    if code == CloseCode.NO_STATUS:
        return _header(_CLOSE, 0)
    if not is_sendable(code):
        raise LocalProtocolError(f"{code} is no close code that may be sent")
    text = reason.encode(errors="replace")[: MAX_CONTROL_BYTES - 2]
    payload = code.to_bytes(2, "big") + text.decode(errors="ignore").encode()
    return _header(_CLOSE, len(payload)) + payload


def _header(opcode: int, length: int) -> bytes:
    if length < _LENGTH_16:
        return bytes((_FIN | opcode, length))
    if length < _16_BITS:
        return bytes((_FIN | opcode, _LENGTH_16)) + length.to_bytes(2, "big")
    return bytes((_FIN | opcode, _LENGTH_64)) + length.to_bytes(8, "big")
