"""A node that does what a test says, byte by byte, and remembers what it got."""

import queue
import socket
import ssl
import threading
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

from tests.certificates import Authority
from tests.integration.balancer.worker_process import TIMEOUT_S

from bolide.balancer.worker.messages import Node

__all__ = ["NodeConnection", "ScriptedNode"]


class NodeConnection:
    """One connection to the node, with which the test speaks."""

    def __init__(self, connection: socket.socket) -> None:
        self.socket = connection
        self.received = b""

    def read_until(self, end: bytes) -> bytes:
        """Read up to something, and take it out."""
        while end not in self.received:
            self._read()
        head, _, self.received = self.received.partition(end)
        return head + end

    def read_head(self) -> bytes:
        return self.read_until(b"\r\n\r\n")

    def read(self, size: int) -> bytes:
        while len(self.received) < size:
            self._read()
        data, self.received = self.received[:size], self.received[size:]
        return data

    def read_to_end(self) -> bytes:
        with suppress(EOFError):
            while True:
                self._read()
        data, self.received = self.received, b""
        return data

    def send(self, data: bytes) -> None:
        self.socket.sendall(data)

    def close(self) -> None:
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def _read(self) -> None:
        try:
            data = self.socket.recv(65_536)
        except (ConnectionError, ssl.SSLZeroReturnError):  # the latter after our own end
            data = b""
        if not data:
            raise EOFError(f"the connection ended after {self.received!r}")
        self.received += data


class ScriptedNode:
    """Accepts connections, TLS or plain; ``context`` is another one than that of its authority."""

    def __init__(
        self,
        authority: Authority,
        name: str = "north",
        *,
        has_tls: bool = True,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.name = name
        files = authority.issue("localhost", "127.0.0.1")
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER) if has_tls else None
        if self._context is not None:
            self._context.load_cert_chain(files.cert, files.key)
        self._context = context or self._context
        self._stack = ExitStack()
        self._is_closed = False
        self._accepted: queue.SimpleQueue[NodeConnection] = queue.SimpleQueue()

    def __enter__(self) -> Self:
        self._listener = self._stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Listen no more: who connects is refused."""
        self._is_closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._stack.close()

    def node(self, **more: object) -> Node:
        """Describe it as a supervisor does."""
        return Node(
            name=self.name, host="127.0.0.1", port=self.port, server_name="localhost",
            **more,  # type: ignore[arg-type]
        )  # fmt: skip

    def connection(self) -> NodeConnection:
        """Wait for the next connection."""
        return self._accepted.get(timeout=TIMEOUT_S)

    @property
    def is_left_alone(self) -> bool:
        return self._accepted.empty()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(TIMEOUT_S)
            try:
                if self._context is not None:
                    connection = self._context.wrap_socket(connection, server_side=True)
            except OSError:
                connection.close()
                continue
            self._stack.callback(connection.close)
            if self._is_closed:  # meanwhile: nobody will close it
                connection.close()
            self._accepted.put(NodeConnection(connection))
