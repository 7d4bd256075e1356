"""Turn DDP messages into WebSocket text frames and back, raw or as SockJS has it.

SockJS 0.3 over a WebSocket: the server sends ``o`` at the start, ``a[...]`` with JSON strings,
``h`` as a heartbeat and ``c[code,"reason"]`` at the end; the client sends a JSON array of strings
or one JSON string.
"""

from collections.abc import Sequence
from typing import Final, Protocol

import msgspec

__all__ = ["RAW", "SOCKJS", "BadFrame", "Framing"]

_encode = msgspec.json.Encoder().encode
_decode_messages = msgspec.json.Decoder(list[str] | str).decode


class BadFrame(ValueError):
    """A frame that the framing does not know."""


class Framing(Protocol):
    """How messages sit in frames."""

    opening: str | None
    """Frame sent before the first message."""
    heartbeat: str | None
    """Frame sent while nothing else is."""

    def frames(self, messages: Sequence[str]) -> Sequence[str]:
        """Return the frames that carry ``messages``, in order."""
        ...

    def messages(self, frame: str) -> Sequence[str]:
        """Return the messages of a frame.

        Raises:
            BadFrame: If it is not of this framing.
        """
        ...

    def closing(self, reason: str) -> str | None:
        """Return the last frame, if the framing has one."""
        ...


class _Raw:
    """One message, one frame."""

    opening: str | None = None
    heartbeat: str | None = None

    def frames(self, messages: Sequence[str]) -> Sequence[str]:
        return messages

    def messages(self, frame: str) -> Sequence[str]:
        return (frame,)

    def closing(self, reason: str) -> str | None:
        return None


class _SockJS:
    """All messages of one turn in one array."""

    opening: str | None = "o"
    heartbeat: str | None = "h"

    def frames(self, messages: Sequence[str]) -> Sequence[str]:
        return ("a" + _encode(messages).decode(),)

    def messages(self, frame: str) -> Sequence[str]:
        if not frame:
            return ()
        try:
            messages = _decode_messages(frame)
        except (msgspec.MsgspecError, UnicodeEncodeError) as error:
            raise BadFrame from error
        return (messages,) if isinstance(messages, str) else messages

    def closing(self, reason: str) -> str | None:
        return "c" + _encode([3000, reason]).decode()


RAW: Final[Framing] = _Raw()
SOCKJS: Final[Framing] = _SockJS()
