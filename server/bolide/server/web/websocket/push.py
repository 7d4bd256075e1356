"""What an application may do with a WebSocket beside ASGI: plain calls, in both directions.

A node fans one frame out to thousands of sockets. Through ASGI each delivery is a coroutine, and
each message that comes in passes a queue and a task switch. The WebSocket class of this package
therefore offers itself under :data:`EXTENSION` in ``scope["extensions"]``: after ``accept`` an
application takes it, calls :meth:`PushSocket.start`, and from then on both directions are plain
calls on the event loop. The endpoint may return then: the connection goes on, and its coroutines,
its scope and its request need no memory. If it raises, the connection is closed. A server without
the extension is served through ASGI.
"""

from collections.abc import Callable
from typing import Final, Protocol

__all__ = ["EXTENSION", "PushReceiver", "PushSocket"]

EXTENSION: Final = "bolide.push"
"""Key in ``scope["extensions"]``; the value is a :class:`PushSocket`."""


class PushReceiver(Protocol):
    """The application's side. Every method is called on the event loop and returns at once.

    What a method raises is logged, and the connection closes with 1011.
    """

    def message_received(self, text: str) -> None:
        """Take one text message."""
        ...

    def binary_received(self) -> None:
        """Learn of a binary message; nobody here has a use for its content."""
        ...

    def writing_paused(self) -> None:
        """Learn that the peer does not keep up: more than the high-water mark waits for it.

        What is written in spite of it is buffered, without a limit of the socket's.
        """
        ...

    def writing_resumed(self) -> None:
        """Learn that most of what waited was sent."""
        ...

    def connection_lost(self, clean: bool) -> None:
        """Learn that nothing more comes or goes; called once, as the last.

        Args:
            clean: Whether the peer sent a close frame.
        """
        ...


class PushSocket(Protocol):
    """The server's side, for one connection. Nothing here awaits; use it on the event loop."""

    @property
    def write(self) -> Callable[[bytes], object]:
        """Send frames that are already framed, as many as the bytes hold.

        See :func:`bolide.server.web.websocket.frames.text_frame`. It is the transport's own
        ``write``, or one that does nothing once the connection closes: read the attribute anew for
        each call.
        """
        ...

    def start(self, receiver: PushReceiver) -> None:
        """Give all messages to ``receiver`` from now on, instead of to ``receive()``.

        Those that came before are delivered first, in their order, before this returns as far as
        they fit in one turn of the loop. If the connection is lost already, it hears that too.

        Raises:
            LocalProtocolError: If the connection was not accepted, or this was called before.
        """
        ...

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Send the close frame, wait for the peer's for a limited time, then drop.

        Messages that come meanwhile are discarded. Harmless if the connection closes already.

        Args:
            code: 1000-1003, 1007-1014 or 3000-4999.
            reason: One line for the peer, without anything secret; cut to 123 bytes.

        Raises:
            LocalProtocolError: If the code may not be sent.
        """
        ...

    def abort(self) -> None:
        """Cut at once; what waits for the peer is lost."""
        ...

    @property
    def buffered(self) -> int:
        """Bytes that wait for the peer to read."""
        ...
