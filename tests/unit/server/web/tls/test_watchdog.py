"""Who is cut, who is not, and that nobody is cut in the place of somebody else."""

import logging
import socket
import threading
import time
from collections.abc import Generator
from contextlib import closing
from functools import partial

import pytest

from bolide.server.web.tls.watchdog import Watchdog

LIMIT_MS = 50


@pytest.fixture
def watchdog() -> Generator[Watchdog]:
    watchdog = Watchdog(LIMIT_MS)
    watchdog.start()
    yield watchdog
    watchdog.stop()


@pytest.fixture
def pair() -> Generator[tuple[socket.socket, socket.socket]]:
    ours, peer = socket.socketpair()
    ours.settimeout(10)
    with closing(ours), closing(peer):
        yield ours, peer


def is_cut(connection: socket.socket) -> bool:
    """Tell whether the connection ended; its peer sends nothing."""
    connection.setblocking(False)
    try:
        return connection.recv(1) == b""
    except BlockingIOError:
        return False


def _wait(looks: float) -> None:
    time.sleep(looks * LIMIT_MS / 5_000)


def test_call_that_goes_on_is_cut_and_what_came_is_thrown_away(
    watchdog: Watchdog,
    pair: tuple[socket.socket, socket.socket],
    caplog: pytest.LogCaptureFixture,
) -> None:
    ours, peer = pair
    peer.sendall(b"x" * 100_000)

    def read_on() -> int:
        size = 0
        while ours.recv(1):
            size += 1
            time.sleep(0.001)
        return size

    with caplog.at_level(logging.WARNING, "uvicorn.error"):
        assert watchdog.watch(ours, read_on) < 50_000
        watchdog.stop()  # it has logged
    assert peer.recv(1) == b""
    assert [record.message for record in caplog.records if "max_tls_read_ms" in record.message]
    assert f"{LIMIT_MS} ms" in caplog.text


def test_many_short_calls_are_not_cut(
    watchdog: Watchdog, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, _ = pair
    end = time.monotonic() + 4 * LIMIT_MS / 1000
    while time.monotonic() < end:
        watchdog.watch(ours, time.sleep, 0)
    assert not is_cut(ours)


def test_calls_that_each_stay_below_the_limit_add_up(
    watchdog: Watchdog, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, _ = pair
    other, far = socket.socketpair()
    with closing(other), closing(far):
        for _ in range(20):
            watchdog.watch(ours, lambda: _wait(2.5))
            watchdog.watch(other, lambda: None)
        assert is_cut(ours)
        assert not is_cut(other)


def test_old_calls_are_forgiven(
    watchdog: Watchdog,
    pair: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bolide.server.web.tls.watchdog._FORGIVEN_AFTER_LOOKS", 2)
    ours, _ = pair
    for _ in range(10):
        watchdog.watch(ours, lambda: _wait(2.5))
        _wait(2)
    assert not is_cut(ours)


def test_call_that_fails_is_over(
    watchdog: Watchdog, pair: tuple[socket.socket, socket.socket]
) -> None:
    ours, _ = pair

    def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        watchdog.watch(ours, fail)
    _wait(20)
    assert not is_cut(ours)


def test_nothing_is_cut_after_its_call_returned(watchdog: Watchdog) -> None:
    struck = 0
    for number in range(60):
        ours, peer = socket.socketpair()
        with closing(ours), closing(peer):
            # Around the moment of the strike.
            watchdog.watch(ours, partial(_wait, 4.8 + number / 50))
            was_cut = is_cut(ours)
            struck += was_cut
            _wait(0.3)
            assert is_cut(ours) == was_cut
    assert 0 < struck < 60


def test_loop_waits_for_a_strike_that_has_begun(
    watchdog: Watchdog,
    pair: tuple[socket.socket, socket.socket],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, over = threading.Event(), threading.Event()

    def cut_slowly(connection: socket.socket) -> None:
        begun.set()
        time.sleep(0.05)
        over.set()

    monkeypatch.setattr("bolide.server.web.tls.watchdog._cut", cut_slowly)
    assert watchdog.watch(pair[0], lambda: begun.wait(10))
    assert over.is_set()


def test_thread_begins_once_and_ends() -> None:
    before = threading.active_count()
    watchdog = Watchdog(LIMIT_MS)
    watchdog.stop()  # it never began
    watchdog = Watchdog(LIMIT_MS)
    watchdog.start()
    watchdog.start()
    assert threading.active_count() == before + 1
    watchdog.stop()
    assert threading.active_count() == before
