"""Hold many idle DDP sessions open, each with one subscription that is ready."""

import socket
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from websockets.client import ClientProtocol
from websockets.frames import Opcode
from websockets.http11 import Response
from websockets.uri import parse_uri

from bench.rig.servers import HOST

__all__ = ["sessions_open"]

_CONNECT = b'{"msg":"connect","version":"1","support":["1"]}'
_SUBSCRIBE = b'{"msg":"sub","id":"1","name":"%s","params":["7"]}'
_AT_ONCE = 50
_PATIENCE_S = 60
_READ_BYTES = 65_536


@contextmanager
def sessions_open(port: int, publication: str, count: int) -> Generator[None]:
    """Open sessions with a subscription each, for the time of the block.

    The block begins when all have got their ``ready``, and all that came before it.

    Args:
        port: Of a node on loopback, without TLS.
        publication: Its name; it is given the ward "7".
        count: How many sessions.

    Raises:
        OSError: If the node refuses or drops one.
    """
    subscribe = _SUBSCRIBE % publication.encode()
    with ExitStack() as stack:
        for first in range(0, count, _AT_ONCE):
            opening = [_Session(port) for _ in range(min(_AT_ONCE, count - first))]
            for session in opening:
                stack.callback(session.close)
            for session in opening:
                session.open()
                session.say(_CONNECT)
                session.say(subscribe)
            for session in opening:
                session.read_until(b'"ready"')
        yield


class _Session:
    """One socket that is read only when somebody waits for it."""

    def __init__(self, port: int) -> None:
        self._protocol = ClientProtocol(parse_uri(f"ws://{HOST}/websocket"))
        self._socket = socket.create_connection(("127.0.0.1", port), _PATIENCE_S)

    def open(self) -> None:
        request = self._protocol.connect()
        self._protocol.send_request(request)
        self._flush()
        while True:
            for event in self._read():
                if isinstance(event, Response):
                    if self._protocol.handshake_exc is not None:
                        raise OSError(str(self._protocol.handshake_exc))
                    return

    def say(self, message: bytes) -> None:
        self._protocol.send_text(message)
        self._flush()

    def read_until(self, part: bytes) -> None:
        while True:
            for event in self._read():
                data = getattr(event, "data", b"")
                if getattr(event, "opcode", None) is Opcode.TEXT and part in data[:40]:
                    return

    def close(self) -> None:
        self._socket.close()

    def _read(self) -> list[object]:
        received = self._socket.recv(_READ_BYTES)
        if not received:
            raise OSError("The node closed a session.")
        self._protocol.receive_data(received)
        self._flush()
        return list(self._protocol.events_received())

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            self._socket.sendall(data)
