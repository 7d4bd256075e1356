"""A node without any framework: it records the bytes of what it gets, and answers as it is told."""

import socket
import threading
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

__all__ = ["RawNode"]

_TIMEOUT_S: Final = 30.0
_OK: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class RawNode:
    """Listens on a port of its own; it is begun by ``with`` and gone after it.

    It takes lengths and chunks at their word, so it counts as many requests as any server might.

    Attributes:
        port: Where it listens.
        requests: Complete requests since :meth:`begin`, as bytes.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._changed = threading.Condition()
        self._open: set[int] = set()
        self._last_accepted = 0
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self.begin()

    def begin(self, answer: bytes = _OK, *, ends: bool = False) -> None:
        """Forget what came, and answer each request so from now on.

        Args:
            answer: Bytes.
            ends: End the connection after an answer.
        """
        self._answer = answer
        self._ends = ends
        self.requests: list[bytes] = []

    def settle(self) -> None:
        """Return when all connections that were made before are over."""
        # They are accepted in order, so all before this one are when it is.
        with socket.create_connection(("127.0.0.1", self.port)) as last:
            port = last.getsockname()[1]
            with self._changed:
                assert self._changed.wait_for(
                    lambda: self._last_accepted == port and self._open == {port}, _TIMEOUT_S
                )

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join(_TIMEOUT_S)

    def _accept(self) -> None:
        # The end of the listener is an error of this kind.
        with suppress(OSError):
            while True:
                connection, (_, port) = self._listener.accept()
                connection.settimeout(_TIMEOUT_S)
                with self._changed:
                    self._open.add(port)
                    self._last_accepted = port
                    self._changed.notify_all()
                threading.Thread(target=self._serve, args=(connection, port), daemon=True).start()

    def _serve(self, connection: socket.socket, port: int) -> None:
        # Whoever is refused may reset the connection.
        with suppress(OSError), connection:
            self._receive(connection)
        with self._changed:
            self._open.discard(port)
            self._changed.notify_all()

    def _receive(self, connection: socket.socket) -> None:
        waiting = b""
        while data := connection.recv(65_536):
            waiting += data
            while size := _end_of_request(waiting):
                self.requests.append(waiting[:size])
                waiting = waiting[size:]
                connection.sendall(self._answer)
                if self._ends:
                    return


def _end_of_request(data: bytes) -> int:
    """Tell where the first request ends; 0 if it is not complete."""
    head_size = data.find(b"\r\n\r\n") + 4
    if head_size < 4:
        return 0
    length = 0
    for line in data[:head_size].lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.strip() == b"transfer-encoding":
            return _end_of_chunks(data, head_size)
        if name.strip() == b"content-length":
            length = int(value)
    return head_size + length if len(data) >= head_size + length else 0


def _end_of_chunks(data: bytes, at: int) -> int:
    while (end := data.find(b"\r\n", at)) >= 0:
        size = int(data[at:end].partition(b";")[0], 16)
        if size == 0:
            last = data.find(b"\r\n\r\n", end)
            return last + 4 if last >= 0 else 0
        at = end + 2 + size + 2
    return 0
