"""Both sides fail in one turn of the loop: what is sent then meets a connection that is gone."""

import os
import signal
import socket
import struct
from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeAlias

import pytest
from tests.integration.balancer.conftest import StartWorker
from tests.integration.balancer.scripted_node import NodeConnection, ScriptedNode
from tests.integration.balancer.test_relay import GET, exchange, opened
from tests.integration.balancer.worker_process import WorkerProcess

Start: TypeAlias = Callable[[], AbstractContextManager[WorkerProcess]]

POST = b"POST / HTTP/1.1\r\nHost: ward.example\r\nContent-Length: 4\r\n\r\nbody"


@contextmanager
def one_turn(worker: WorkerProcess) -> Generator[None]:
    """Let it find all that happens in the block at once, in this order."""
    stat = Path(f"/proc/{worker.process.pid}/stat")
    while stat.read_text().rpartition(") ")[2][0] != "S":
        pass  # it has not come back to where it waits
    os.kill(worker.process.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(worker.process.pid, signal.SIGCONT)


def _reset(peer: NodeConnection) -> None:
    peer.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    peer.socket.close()


@pytest.fixture
def start(
    start_worker: StartWorker, node: ScriptedNode, capfd: pytest.CaptureFixture[str]
) -> Start:
    """Give a worker that forgets nobody, counts nobody twice, and makes no mistake."""

    @contextmanager
    def started() -> Generator[WorkerProcess]:
        worker = start_worker(limits={"max_connections_per_address": 1})
        worker.see(node.node())
        yield worker
        worker.wait_for_count("connections_total", 1)
        assert any(worker.counts()["connections_open"] == 0 for _ in range(20))
        last = opened(worker)
        with pytest.raises(OSError):  # noqa: PT011 - reset, or the end within the handshake
            opened(worker)
        last.close()
        assert "mistake" not in capfd.readouterr().err

    return started


def test_node_fails_and_client_is_gone(start: Start, node: ScriptedNode) -> None:
    with start() as worker:
        peer = opened(worker)
        peer.send(GET)
        back = node.connection()
        back.read_head()
        with one_turn(worker):
            _reset(back)
            _reset(peer)
        worker.wait_for_count('responses_total{class="5xx"}', 1)


def test_head_is_wrong_and_client_is_gone(start: Start) -> None:
    with start() as worker:
        peer = opened(worker)
        with one_turn(worker):
            peer.send(b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n")
            _reset(peer)


def test_same_answer_comes_again_and_client_is_gone(start: Start, node: ScriptedNode) -> None:
    with start() as worker:
        peer = opened(worker)
        peer.send(GET)
        back = node.connection()
        exchange(peer, back)
        for _ in range(3):
            peer.send(GET)
            exchange(peer, back)
        peer.send(GET)
        back.read_head()
        with one_turn(worker):
            back.send(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello")
            _reset(peer)


def test_body_comes_and_node_is_gone(start: Start, node: ScriptedNode) -> None:
    with start() as worker:
        peer = opened(worker)
        peer.send(GET)
        back = node.connection()
        exchange(peer, back)
        with one_turn(worker):
            peer.send(POST)
            _reset(back)
        assert peer.read_head().startswith(b"HTTP/1.1 502 ")
        peer.close()
