"""A real worker; the test is its supervisor."""

import os
import resource
import socket
import ssl
import subprocess
import sys
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from itertools import count, islice
from types import TracebackType
from typing import Any, Self

import msgspec
from tests.certificates import Authority

from bolide.balancer.worker.messages import (
    Configure,
    Configured,
    Counted,
    FromWorker,
    Limits,
    Node,
    NodeTLS,
    Noticed,
    Retire,
    ServerCertificate,
    View,
)

__all__ = ["TIMEOUT_S", "WorkerProcess"]

TIMEOUT_S = 20.0
KEY = "11" * 32


class WorkerProcess:
    """One worker with a listening socket of each kind.

    Attributes:
        noticed: What it noticed of nodes so far.
    """

    def __init__(self, authority: Authority, **configuration: Any) -> None:
        self._authority = authority
        self._certificate = authority.issue("127.0.0.1", "localhost")
        self._own = authority.issue("balancer")
        self._changes = configuration
        self._versions = count(1)
        self._stack = ExitStack()
        self._received = b""
        self._decode = msgspec.json.Decoder(FromWorker).decode
        self._client = authority.client_context()
        self._nodes: tuple[Node, ...] = ()
        self.noticed: list[Noticed] = []
        self.counted: Counted | None = None

    def __enter__(self) -> Self:
        ours, theirs = socket.socketpair()
        self._control = self._stack.enter_context(ours)
        ours.settimeout(TIMEOUT_S)
        self._listeners = {
            kind: self._stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=1024))
            for kind in ("tls", "proxied", "redirect")
        }
        fds = [listener.fileno() for listener in self._listeners.values()]
        with theirs:
            command = [sys.executable, "-m", "bolide.balancer.worker", str(theirs.fileno())]
            self.process = subprocess.Popen(command, pass_fds=(theirs.fileno(), *fds))
        self._stack.callback(self._end)
        answer = self.configure()
        assert not answer.problem, answer.problem
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    # As its supervisor

    def configure(self, **changes: Any) -> Configured:
        """Tell it how to work; returns its answer."""
        self._changes |= changes
        version = next(self._versions)
        settings: dict[str, Any] = {
            "cluster": "test",
            "listeners": {one.fileno(): kind for kind, one in self._listeners.items()},
            "trusted_senders": ("127.0.0.0/8",),
            "certificates": (ServerCertificate(self._certificate.cert, self._certificate.key),),
            "nodes": NodeTLS(
                verify="name", ca=str(self._authority.file()),
                chain=self._own.cert, key=self._own.key,
            ),
            **self._changes,
        }  # fmt: skip
        settings["limits"] = Limits(**settings.get("limits", {}))
        self.tell(Configure(version=version, **settings))
        return self.answer(version)

    def see(self, *nodes: Node, keys: tuple[str, ...] = (KEY,)) -> None:
        """Give it a view; it holds when this returns."""
        self._nodes = nodes
        self.tell(View(version=next(self._versions), nodes=nodes, cookie_keys=keys))
        self.configure()  # messages are taken in order

    def retire(self, within_s: float = TIMEOUT_S) -> None:
        self.tell(Retire(within_s))

    def tell(self, message: Configure | View | Retire) -> None:
        self._control.sendall(msgspec.json.encode(message) + b"\n")

    def answer(self, version: int) -> Configured:
        while True:
            message = self.hear()
            if isinstance(message, Configured) and message.version == version:
                return message

    def hear(self) -> FromWorker:
        """Wait for the next message."""
        while b"\n" not in self._received:
            data = self._control.recv(65_536)
            assert data, "the worker ended"
            self._received += data
        line, _, self._received = self._received.partition(b"\n")
        message: FromWorker = self._decode(line)
        if isinstance(message, Noticed):
            self.noticed.append(message)
        elif isinstance(message, Counted):
            self.counted = message
        return message

    def counts(self) -> dict[str, float]:
        """Wait for what it counts next."""
        while True:
            message = self.hear()
            if isinstance(message, Counted):
                return message.counts

    def wait_for_count(self, name: str, number: float) -> None:
        """Wait until something was counted so often."""
        while self.counts().get(name) != number:
            pass

    @contextmanager
    def room_for(self, descriptors: int) -> Generator[None]:
        """Let it have so many more open files, for the time of the block."""
        process = self.process.pid
        taken = {int(name) for name in os.listdir(f"/proc/{process}/fd")}
        free = (number for number in count() if number not in taken)
        limit = next(islice(free, descriptors, None))
        _, most = before = resource.prlimit(process, resource.RLIMIT_NOFILE)
        resource.prlimit(process, resource.RLIMIT_NOFILE, (limit, most))
        try:
            yield
        finally:
            resource.prlimit(process, resource.RLIMIT_NOFILE, before)

    # As a client

    def address(self, kind: str = "tls") -> tuple[str, int]:
        host, port = self._listeners[kind].getsockname()[:2]
        return host, port

    def connect_plainly(self, kind: str = "tls") -> socket.socket:
        made = socket.create_connection(self.address(kind), TIMEOUT_S)
        self._stack.callback(made.close)
        return made

    def connect(self, kind: str = "tls", before: bytes = b"") -> ssl.SSLSocket:
        plain = self.connect_plainly(kind)
        plain.sendall(before)
        return self.shake_hands(plain)

    def shake_hands(self, plain: socket.socket) -> ssl.SSLSocket:
        try:
            made = self._client.wrap_socket(plain, server_hostname="localhost")
        except OSError:
            plain.close()
            raise
        self._stack.callback(made.close)
        return made

    def _end(self) -> None:
        self.process.kill()
        self.process.wait()
