"""What OpenSSL says when a socket is full in the wrong moment, which real sockets rarely do."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from contextlib import closing
from typing import Any, cast

import pytest

from bolide.server.web.tls.transport import TLSTransport
from bolide.server.web.tls.watchdog import Watchdog

FULL, EMPTY = ssl.SSLWantWriteError(), ssl.SSLWantReadError()


class Connection:
    """A socket that answers what the test says, then as if all went well."""

    fd = 7

    def __init__(self, **answers: list[Exception]) -> None:
        self.answers = answers
        self.sent = bytearray()
        self.ends: list[str] = []

    def _answer(self, what: str) -> None:
        if self.answers.get(what):
            raise self.answers[what].pop(0)

    def fileno(self) -> int:
        return self.fd

    def do_handshake(self) -> None:
        self._answer("do_handshake")

    def recv(self, size: int) -> bytes:
        self._answer("recv")
        return b"data"

    def send(self, data: bytes) -> int:
        self._answer("send")
        self.sent += data
        return len(data)

    def unwrap(self) -> None:
        self._answer("unwrap")
        self.ends.append("goodbye")

    def shutdown(self, how: int) -> None:
        assert how == socket.SHUT_WR
        self._answer("shutdown")

    def close(self) -> None:
        self.ends.append("closed")


class Loop:
    """An event loop whose socket is ready when the test says so."""

    def __init__(self) -> None:
        self.reader: Callable[[], None] | None = None
        self.writer: Callable[[], None] | None = None
        self.later: list[Callable[[], None]] = []

    def add_reader(self, fd: int, callback: Callable[[], None]) -> None:
        self.reader = callback

    def add_writer(self, fd: int, callback: Callable[[], None]) -> None:
        self.writer = callback

    def remove_reader(self, fd: int) -> None:
        self.reader = None

    def remove_writer(self, fd: int) -> None:
        self.writer = None

    def call_later(self, delay: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        loop = cast(asyncio.AbstractEventLoop, self)
        return asyncio.TimerHandle(delay, callback, (), loop)

    def call_soon(self, callback: Callable[..., None], *args: object) -> None:
        self.later.append(lambda: callback(*args))

    def get_debug(self) -> bool:
        return False

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def readable(self) -> None:
        assert self.reader is not None
        self.reader()

    def writable(self) -> None:
        assert self.writer is not None
        self.writer()

    def turn(self) -> None:
        while self.later:
            self.later.pop(0)()


class Heard(asyncio.Protocol):
    """A protocol that keeps what it heard."""

    def __init__(self) -> None:
        self.heard: list[object] = []

    def data_received(self, data: bytes) -> None:
        self.heard.append(data)

    def pause_writing(self) -> None:
        self.heard.append("paused")

    def connection_lost(self, exc: Exception | None) -> None:
        self.heard.append(("lost", exc))


class Setting:
    """A transport with all that surrounds it."""

    def __init__(self, **answers: list[Exception]) -> None:
        self.loop = Loop()
        self.connection = Connection(**answers)
        self.protocol = Heard()
        self.strays: set[TLSTransport] = set()
        self.transport = TLSTransport(
            cast(Any, self.loop),
            cast(Any, self.connection),
            lambda: self.protocol,
            self.strays,
            Watchdog(1000),
            handshake_timeout_s=1,
        )

    @classmethod
    def opened(cls, **answers: list[Exception]) -> "Setting":
        setting = cls(**answers)
        setting.loop.readable()
        assert not setting.transport.is_closing()
        return setting


def test_handshake_that_does_not_fit_goes_on_when_there_is_room() -> None:
    setting = Setting(do_handshake=[EMPTY, FULL, EMPTY])
    loop, transport = setting.loop, setting.transport
    loop.readable()
    loop.readable()
    assert loop.reader is None  # what comes cannot be answered
    loop.writable()
    assert loop.writer is None
    assert transport.is_closing()
    assert setting.strays == {transport}
    loop.readable()
    assert not transport.is_closing()
    assert not setting.strays


def test_answer_to_a_new_key_waits_for_room() -> None:
    setting = Setting.opened(recv=[EMPTY, FULL])
    loop = setting.loop
    loop.readable()
    loop.readable()
    assert loop.reader is None
    loop.writable()
    assert loop.writer is None
    loop.readable()
    assert setting.protocol.heard == [b"data"]


def test_answer_to_a_new_key_does_not_end_a_pause() -> None:
    setting = Setting.opened(recv=[FULL])
    setting.loop.readable()
    setting.transport.pause_reading()
    setting.loop.writable()
    assert setting.loop.reader is None
    setting.transport.resume_reading()
    setting.loop.readable()
    assert setting.protocol.heard == [b"data"]


def test_what_did_not_fit_is_sent_again_with_what_followed() -> None:
    setting = Setting.opened(send=[FULL, FULL, FULL])
    setting.transport.write(b"one ")
    setting.transport.write(b"two")
    assert setting.transport.get_write_buffer_size() == 7
    setting.loop.writable()
    assert setting.connection.sent == b""
    setting.loop.writable()
    assert setting.connection.sent == b"one two"
    assert setting.loop.writer is None


@pytest.mark.parametrize("before", [[], [FULL, FULL]])
def test_connection_that_is_gone_is_told_later(before: list[Exception]) -> None:
    gone = BrokenPipeError()
    setting = Setting.opened(send=[*before, gone])
    setting.transport.write(b"hello")
    if before:
        setting.loop.writable()
    assert setting.transport.is_closing()
    assert setting.protocol.heard == []  # a protocol that writes is not called back meanwhile
    setting.loop.turn()
    assert setting.protocol.heard == [("lost", gone)]
    setting.transport.write(b"nobody minds")
    assert setting.connection.sent == b""


def test_connection_that_is_gone_with_much_to_write_is_lost_once() -> None:
    setting = Setting.opened(send=[BrokenPipeError()])
    setting.transport.write(b"x" * 100_000)
    setting.loop.turn()
    assert len(setting.protocol.heard) == 1


def test_goodbye_waits_for_room(monkeypatch: pytest.MonkeyPatch) -> None:
    plain, peer = socket.socketpair()
    with closing(plain), closing(peer):
        plain.setblocking(False)
        monkeypatch.setattr(Connection, "fd", plain.fileno())
        setting = Setting.opened(unwrap=[FULL, EMPTY])
        setting.transport.close()
        assert setting.loop.reader is None
        setting.loop.writable()
        setting.loop.turn()
        assert setting.protocol.heard == [("lost", None)]
        assert setting.strays == {setting.transport}
        setting.loop.readable()
        peer.send(b"half a record")
        setting.loop.readable()
        setting.loop.readable()
        assert setting.connection.ends == []
        peer.close()
        setting.loop.readable()
        assert setting.connection.ends == ["closed"]
        assert not setting.strays


def test_peer_that_is_gone_is_not_waited_for() -> None:
    setting = Setting.opened(shutdown=[OSError()])
    setting.transport.close()
    setting.loop.turn()
    assert setting.connection.ends == ["goodbye", "closed"]
    assert setting.protocol.heard == [("lost", None)]
