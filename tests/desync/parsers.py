"""What two other parsers make of what a node gets: the ones that nodes use."""

from contextlib import suppress
from typing import Final

import h11
import httptools

__all__ = ["METHODS_OF_LLHTTP", "read_by_h11", "read_by_llhttp"]

METHODS_OF_LLHTTP: Final = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"DELETE", b"OPTIONS"})
"""Some of those that it knows; it takes no others."""

Message = tuple[bytes, bytes, bytes]
"""Method, target, body."""


def read_by_h11(stream: bytes) -> list[Message]:
    """Return the complete requests of a stream, up to a WebSocket.

    Raises:
        h11.RemoteProtocolError: If it is none.
    """
    connection = h11.Connection(h11.SERVER, max_incomplete_event_size=2**20)
    connection.receive_data(stream)
    messages: list[Message] = []
    method = target = body = b""
    while True:
        event = connection.next_event()
        if isinstance(event, h11.Request):
            method, target, body = event.method, event.target, b""
        elif isinstance(event, h11.Data):
            body += bytes(event.data)
        elif isinstance(event, h11.EndOfMessage):
            messages.append((method, target, body))
            if str(connection.their_state) == "MIGHT_SWITCH_PROTOCOL":
                return messages
            connection.send(h11.Response(status_code=200, headers=[("content-length", "0")]))
            connection.send(h11.EndOfMessage())
            connection.start_next_cycle()
        else:
            return messages


class _Reader:
    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.parser = httptools.HttpRequestParser(self)
        self._target = b""
        self._body = b""

    def on_message_begin(self) -> None:
        self._target = self._body = b""

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        self.messages.append((self.parser.get_method(), self._target, self._body))


def read_by_llhttp(stream: bytes) -> list[Message]:
    """Return the complete requests of a stream, up to a WebSocket.

    Raises:
        httptools.HttpParserError: If it is none.
    """
    reader = _Reader()
    with suppress(httptools.HttpParserUpgrade):
        reader.parser.feed_data(stream)
    return reader.messages
