"""Turn DDP messages into the texts of WebSocket frames and back, raw or as SockJS has it.

SockJS 0.3 over a WebSocket: the server sends ``o`` at the start, ``a[...]`` with JSON strings,
``h`` as a heartbeat and ``c[code,"reason"]`` at the end; the client sends a JSON array of strings
or one JSON string.
"""

from collections.abc import Mapping, Sequence
from typing import Final, Protocol

import msgspec

from bolide.server.sessions.transport import Framing
from bolide.server.web.websocket.frames import text_frame

__all__ = ["FRAMES", "RAW", "SOCKJS", "TEXTS", "BadFrame", "TextFraming"]

_encode = msgspec.json.Encoder().encode
_decode_messages = msgspec.json.Decoder(list[str] | str).decode


class BadFrame(ValueError):
    """A frame that the framing does not know."""


class TextFraming(Protocol):
    """How messages sit in frames."""

    opening: bytes | None
    """Text sent before the first message."""
    heartbeat: bytes | None
    """Text sent while nothing else is."""

    def text(self, message: bytes) -> bytes:
        """Return the text of the frame that carries a message."""
        ...

    def messages(self, frame: str) -> Sequence[str]:
        """Return the messages of a frame.

        Raises:
            BadFrame: If it is not of this framing.
        """
        ...

    def closing(self, reason: str) -> bytes | None:
        """Return the last text, if the framing has one."""
        ...


class _Raw:
    """One message, one frame."""

    opening: bytes | None = None
    heartbeat: bytes | None = None

    def text(self, message: bytes) -> bytes:
        return message

    def messages(self, frame: str) -> Sequence[str]:
        return (frame,)

    def closing(self, reason: str) -> bytes | None:
        return None


class _SockJS:
    """Each message in an array of its own, so that sessions can share it."""

    opening: bytes | None = b"o"
    heartbeat: bytes | None = b"h"

    def text(self, message: bytes) -> bytes:
        return b"a" + _encode([message.decode()])

    def messages(self, frame: str) -> Sequence[str]:
        if not frame:
            return ()
        try:
            messages = _decode_messages(frame)
        except (msgspec.MsgspecError, UnicodeEncodeError) as error:
            raise BadFrame from error
        return (messages,) if isinstance(messages, str) else messages

    def closing(self, reason: str) -> bytes | None:
        return b"c" + _encode([3000, reason])


RAW: Final[TextFraming] = _Raw()
SOCKJS: Final[TextFraming] = _SockJS()


class _Texts:
    """Packets are texts; the socket makes frames of them."""

    def __init__(self, texts: TextFraming) -> None:
        self.packet = texts.text

    def bundle(self, packets: Sequence[bytes]) -> Sequence[bytes]:
        return packets


class _Frames:
    """Packets are whole WebSocket frames, which may be written one after another."""

    def __init__(self, texts: TextFraming) -> None:
        self._text = texts.text

    def packet(self, message: bytes) -> bytes:
        return text_frame(self._text(message))

    def bundle(self, packets: Sequence[bytes]) -> Sequence[bytes]:
        return packets if len(packets) == 1 else (b"".join(packets),)


class _RawFrames(_Frames):
    """The same, where the text of a frame is the message."""

    def packet(self, message: bytes) -> bytes:
        return text_frame(message)


TEXTS: Final[Mapping[TextFraming, Framing]] = {RAW: _Texts(RAW), SOCKJS: _Texts(SOCKJS)}
"""How sessions write on ASGI's WebSockets."""
FRAMES: Final[Mapping[TextFraming, Framing]] = {RAW: _RawFrames(RAW), SOCKJS: _Frames(SOCKJS)}
"""How sessions write on sockets that take frames."""
