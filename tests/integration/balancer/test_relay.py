"""What a worker does with requests and tunnels, seen from both of its sides."""

import base64
import hashlib
import os
import re
import socket
import ssl
import struct
import threading
from contextlib import closing, suppress

import msgspec
import pytest
from tests.certificates import Authority
from tests.integration.balancer.conftest import StartNode, StartWorker
from tests.integration.balancer.scripted_node import NodeConnection, ScriptedNode
from tests.integration.balancer.worker_process import TIMEOUT_S, WorkerProcess

from bolide.balancer.worker.messages import ServerCertificate

GET = b"GET /ward?patient=7 HTTP/1.1\r\nHost: ward.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"
KEY = base64.b64encode(b"k" * 16)
UPGRADE = (
    b"GET /websocket HTTP/1.1\r\nHost: ward.example\r\nConnection: keep-alive, Upgrade\r\n"
    b"Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + KEY + b"\r\n\r\n"
)
ACCEPT = base64.b64encode(
    hashlib.sha1(KEY + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11", usedforsecurity=False).digest()
)
SWITCH = (
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Accept: " + ACCEPT + b"\r\n\r\n"
)
COOKIE = re.compile(rb"\r\nset-cookie: (__Host-bolide_lb=[^;]+);", re.IGNORECASE)


def client(connection: socket.socket) -> NodeConnection:
    """Read and write at the client's side as at the node's."""
    connection.settimeout(TIMEOUT_S)
    return NodeConnection(connection)


def opened(worker: WorkerProcess) -> NodeConnection:
    return client(worker.connect())


def exchange(peer: NodeConnection, back: NodeConnection, answer: bytes = OK) -> bytes:
    """Let a node answer a request that was sent; returns the head of the answer."""
    back.read_head()
    back.send(answer)
    head = peer.read_head()
    peer.read(5)
    return head


def tunnel(worker: WorkerProcess, node: ScriptedNode) -> tuple[NodeConnection, NodeConnection]:
    peer = opened(worker)
    peer.send(UPGRADE)
    back = node.connection()
    back.read_head()
    back.send(SWITCH)
    assert peer.read_head().startswith(b"HTTP/1.1 101 ")
    return peer, back


class TestRequests:
    def test_node_is_told_of_the_client_and_client_of_its_node(
        self, worker: WorkerProcess, node: ScriptedNode
    ) -> None:
        peer = opened(worker)
        peer.send(GET.replace(b"\r\n\r\n", b"\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n"))
        back = node.connection()
        head = back.read_head().lower()
        assert head.startswith(b"get /ward?patient=7 http/1.1\r\n")
        assert b"6.6.6.6" not in head
        assert b"\r\nx-forwarded-for: 127.0.0.1\r\n" in head
        assert b"\r\nx-forwarded-proto: https\r\n" in head
        back.send(OK)
        answer = peer.read_head()
        assert COOKIE.search(answer)
        assert b"\r\nStrict-Transport-Security: max-age=31536000\r\n" in answer
        assert peer.read(5) == b"hello"

    def test_requests_of_a_connection_share_one_to_the_node(
        self, worker: WorkerProcess, node: ScriptedNode
    ) -> None:
        peer = opened(worker)
        peer.send(GET)
        back = node.connection()
        assert COOKIE.search(exchange(peer, back))
        peer.send(GET)
        assert not COOKIE.search(exchange(peer, back))  # it was told already
        assert node.is_left_alone

    def test_requests_that_come_together_are_answered_one_after_the_other(
        self, worker: WorkerProcess, node: ScriptedNode
    ) -> None:
        peer = opened(worker)
        peer.send(GET * 3)
        back = node.connection()
        for _ in range(3):
            exchange(peer, back)
            assert not back.received

    def test_cookie_leads_back_and_is_not_the_nodes_to_see(
        self, start_worker: StartWorker, start_node: StartNode
    ) -> None:
        nodes = [start_node(name) for name in ("north", "south", "east")]
        worker = start_worker()
        worker.see(*(one.node() for one in nodes))
        peer = opened(worker)
        peer.send(GET)
        [there] = [one for one in nodes if not _is_left_alone(one)]
        found = COOKIE.search(exchange(peer, there.connection()))
        assert found
        for _ in range(5):
            peer = opened(worker)
            cookie = b"\r\nCookie: a=1; " + found[1] + b"; b=2\r\n\r\n"
            peer.send(GET.replace(b"\r\n\r\n", cookie))
            back = there.connection()
            head = back.read_head()
            assert b"\r\nCookie: a=1; b=2\r\n" in head
            back.send(OK)
            assert not COOKIE.search(peer.read_head())

    def test_cookie_that_a_former_key_sealed_is_replaced_once(
        self, worker: WorkerProcess, node: ScriptedNode
    ) -> None:
        peer = opened(worker)
        peer.send(GET)
        first = COOKIE.search(exchange(peer, node.connection()))
        assert first
        worker.see(node.node(), keys=("22" * 32, "11" * 32))
        second = self._told_first(worker, node, first[1])
        assert second
        assert second[1] != first[1]
        assert not self._told_first(worker, node, second[1])

    def _told_first(
        self, worker: WorkerProcess, node: ScriptedNode, cookie: bytes
    ) -> re.Match[bytes] | None:
        """Return the cookie that the first of two requests is answered with; there is no second."""
        peer = opened(worker)
        peer.send(GET.replace(b"\r\n\r\n", b"\r\nCookie: " + cookie + b"\r\n\r\n") * 2)
        back = node.connection()
        found = COOKIE.search(exchange(peer, back))
        assert not COOKIE.search(exchange(peer, back))
        return found

    def test_body_streams_both_ways(self, worker: WorkerProcess, node: ScriptedNode) -> None:
        peer = opened(worker)
        size = 3_000_000
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
        back = node.connection()
        back.read_head()
        for _ in range(3):  # before the body is complete
            peer.send(b"x" * 100_000)
            assert back.read(100_000) == b"x" * 100_000
        peer.socket.settimeout(TIMEOUT_S)
        for _ in range(27):
            peer.send(b"x" * 100_000)
            back.read(100_000)
        back.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert b"Transfer-Encoding: chunked" in peer.read_head()
        back.send(b"5;ext=1\r\nhello\r\n")
        assert peer.read_until(b"hello\r\n") == b"5\r\nhello\r\n"
        back.send(b"0\r\n\r\n")
        assert peer.read_until(b"0\r\n\r\n") == b"0\r\n\r\n"

    def test_answer_that_comes_before_the_body_ends_the_connection(
        self, worker: WorkerProcess, node: ScriptedNode
    ) -> None:
        peer = opened(worker)
        peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1000\r\n\r\nhalf")
        back = node.connection()
        back.read_head()
        back.send(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n")
        assert peer.read_head().startswith(b"HTTP/1.1 413 ")
        assert peer.read_to_end() == b""

    def test_expected_continue_reaches_the_client(
        self, worker: WorkerProcess, node: ScriptedNode
    ) -> None:
        peer = opened(worker)
        peer.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        back = node.connection()
        assert b"100-continue" in back.read_head()
        back.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert peer.read_head().startswith(b"HTTP/1.1 100 ")
        peer.send(b"ok")
        assert back.read(2) == b"ok"
        back.send(OK)
        assert peer.read_head().startswith(b"HTTP/1.1 200 ")

    @pytest.mark.parametrize("method", [b"HEAD", b"GET"])
    def test_answers_without_a_body_are_complete(
        self, worker: WorkerProcess, node: ScriptedNode, method: bytes
    ) -> None:
        peer = opened(worker)
        status = b"200" if method == b"HEAD" else b"304"
        back = None
        for _ in range(2):
            peer.send(GET.replace(b"GET", method))
            back = back or node.connection()
            back.read_head()
            back.send(b"HTTP/1.1 " + status + b" x\r\nContent-Length: 77\r\n\r\n")
            assert peer.read_head().startswith(b"HTTP/1.1 " + status)

    def test_answer_without_a_length_ends_with_the_connection(
        self, worker: WorkerProcess, node: ScriptedNode
    ) -> None:
        peer = opened(worker)
        peer.send(GET)
        back = node.connection()
        back.read_head()
        back.send(b"HTTP/1.1 200 OK\r\n\r\nhello")
        back.close()
        assert b"\r\nConnection: close\r\n" in peer.read_head()
        assert peer.read_to_end() == b"hello"

    def test_client_that_does_not_read_is_asked_no_more(
        self, worker: WorkerProcess, node: ScriptedNode
    ) -> None:
        size = 200_000
        peer = opened(worker)
        peer.send(GET)
        back = node.connection()
        answer = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"z" * size
        back.read_head()
        back.send(answer)
        peer.socket.settimeout(0.3)
        back.socket.settimeout(0.3)
        asked = 1
        with suppress(TimeoutError):
            while True:
                peer.send(GET)
                back.read_head()
                back.send(answer)
                asked += 1
        before = _resident_bytes(worker.process.pid)
        assert before < 100_000_000
        for _ in range(asked):
            peer.socket.settimeout(TIMEOUT_S)
            peer.read_head()
            peer.read(size)

    def test_same_request_with_another_answer_gets_that(
        self, worker: WorkerProcess, node: ScriptedNode
    ) -> None:
        peer = opened(worker)
        back = None
        for status in (b"200 OK", b"200 OK", b"404 No", b"200 OK"):
            peer.send(GET)
            back = back or node.connection()
            assert exchange(peer, back, OK.replace(b"200 OK", status))[9:15] == status

    def test_query_is_in_no_log(
        self, start_worker: StartWorker, node: ScriptedNode, tmp_path: object
    ) -> None:
        log = f"{tmp_path}/access.log"
        worker = start_worker(access_log=log)
        worker.see(node.node())
        peer = opened(worker)
        peer.send(GET)
        exchange(peer, node.connection())
        peer.close()
        worker.counts()
        with open(log) as file:
            text = file.read()
        assert '"path":"/ward"' in text
        assert "patient" not in text


class TestNodes:
    def test_refused_connection_goes_to_another_node(
        self, start_worker: StartWorker, start_node: StartNode
    ) -> None:
        dead, alive = start_node("dead"), start_node("alive")
        dead.close()
        worker = start_worker()
        worker.see(dead.node(), alive.node(weight=0.0001))
        for _ in range(3):
            peer = opened(worker)
            peer.send(GET)
            exchange(peer, alive.connection())
        worker.counts()
        assert ("dead", "refused") in {(one.node, one.what) for one in worker.noticed}

    @pytest.mark.parametrize("request_", [GET, UPGRADE])
    def test_without_nodes_a_client_is_told_when_to_come_back(
        self, start_worker: StartWorker, request_: bytes
    ) -> None:
        worker = start_worker()
        peer = opened(worker)
        peer.send(request_)
        head = peer.read_head()
        assert head.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 2\r\n" in head

    def test_full_node_lets_clients_wait(
        self, start_worker: StartWorker, node: ScriptedNode
    ) -> None:
        worker = start_worker()
        worker.see(node.node(max_connections=1))
        first, back = tunnel(worker, node)
        second = opened(worker)
        second.send(GET)
        first.close()
        back.read_to_end()
        back.close()
        exchange(second, node.connection())

    def test_waiting_ends(self, start_worker: StartWorker, node: ScriptedNode) -> None:
        worker = start_worker(limits={"queue_timeout_s": 0.3})
        worker.see(node.node(max_connections=1))
        _first, _back = tunnel(worker, node)
        second = opened(worker)
        second.send(GET)
        assert second.read_head().startswith(b"HTTP/1.1 503 ")

    def test_queue_is_bounded(self, start_worker: StartWorker, node: ScriptedNode) -> None:
        worker = start_worker(limits={"max_queue": 1, "queue_timeout_s": 100})
        worker.see(node.node(max_connections=1))
        _first, _back = tunnel(worker, node)
        waiting = opened(worker)
        waiting.send(GET)
        worker.wait_for_count("queued", 1)
        refused = opened(worker)
        refused.send(GET)
        assert refused.read_head().startswith(b"HTTP/1.1 503 ")

    def test_node_that_ended_an_idle_connection_is_asked_on_a_new_one(
        self, worker: WorkerProcess, node: ScriptedNode
    ) -> None:
        peer = opened(worker)
        peer.send(GET)
        back = node.connection()
        exchange(peer, back)
        back.close()
        peer.send(GET)
        exchange(peer, node.connection())

    def test_node_that_hangs_is_given_up(
        self, start_worker: StartWorker, node: ScriptedNode
    ) -> None:
        worker = start_worker(limits={"answer_timeout_s": 0.3})
        worker.see(node.node())
        peer = opened(worker)
        peer.send(GET)
        node.connection().read_head()
        assert peer.read_head().startswith(b"HTTP/1.1 504 ")

    def test_node_that_hangs_in_its_handshake_is_given_up(
        self, start_worker: StartWorker, start_node: StartNode
    ) -> None:
        worker = start_worker(limits={"connect_timeout_s": 0.3})
        with socket.create_server(("127.0.0.1", 0)) as silent:
            other = start_node("other")
            port = silent.getsockname()[1]
            hanging = msgspec.structs.replace(other.node(), name="silent", port=port)
            worker.see(other.node(weight=0.0001), hanging)
            peer = opened(worker)
            peer.send(GET)
            exchange(peer, other.connection())

    def test_rubbish_is_a_bad_gateway(self, worker: WorkerProcess, node: ScriptedNode) -> None:
        peer = opened(worker)
        peer.send(GET)
        back = node.connection()
        back.read_head()
        back.send(b"220 smtp.example ESMTP\r\n\r\n")
        assert peer.read_head().startswith(b"HTTP/1.1 502 ")

    def test_of_an_answer_that_is_longer_than_it_says_the_rest_is_dropped(
        self, worker: WorkerProcess, node: ScriptedNode
    ) -> None:
        peer = opened(worker)
        peer.send(GET)
        back = node.connection()
        back.read_head()
        back.send(OK + b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        assert peer.read_to_end().endswith(b"\r\n\r\nhello")
        worker.wait_for_count("unasked_total", 1)

    @pytest.mark.timeout(60)
    def test_a_response_is_whole_although_more_comes_and_its_client_is_slow(
        self, worker: WorkerProcess, node: ScriptedNode
    ) -> None:
        size = 4_000_000  # more than sockets hold
        peer = opened(worker)
        peer.send(GET)
        back = node.connection()
        back.read_head()
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size
        sending = threading.Thread(target=back.send, args=(head + bytes(size) + b"evil",))
        sending.start()
        peer.read_head()
        assert peer.read(size) == bytes(size)
        assert peer.read_to_end() == b""
        sending.join()

    def test_what_a_node_says_unasked_reaches_nobody(
        self, worker: WorkerProcess, node: ScriptedNode
    ) -> None:
        peer = opened(worker)
        peer.send(GET)
        back = node.connection()
        exchange(peer, back)
        back.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil")
        assert peer.read_to_end() == b""
        worker.wait_for_count("unasked_total", 1)


class TestTunnels:
    def test_bytes_pass_both_ways(self, worker: WorkerProcess, node: ScriptedNode) -> None:
        peer, back = tunnel(worker, node)
        for size in (1, 100, 16_384, 16_385, 1_000_000):
            data = bytes(range(256)) * (size // 256 + 1)
            peer.send(data)
            assert back.read(len(data)) == data
            back.send(data)
            assert peer.read(len(data)) == data

    def test_what_came_with_the_heads_is_not_lost(
        self, worker: WorkerProcess, node: ScriptedNode
    ) -> None:
        peer = opened(worker)
        peer.send(UPGRADE + b"early")
        back = node.connection()
        back.read_head()
        back.send(SWITCH + b"first")
        peer.read_head()
        assert peer.read(5) == b"first"
        assert back.read(5) == b"early"

    @pytest.mark.parametrize(
        "answer",
        [
            SWITCH.replace(ACCEPT, b"A" * 28),
            SWITCH.replace(b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\n"),
            SWITCH.replace(b"Connection: Upgrade\r\n", b""),
        ],
    )
    def test_wrong_switch_is_no_tunnel(
        self, worker: WorkerProcess, node: ScriptedNode, answer: bytes
    ) -> None:
        peer = opened(worker)
        peer.send(UPGRADE)
        back = node.connection()
        back.read_head()
        back.send(answer)
        assert peer.read_head().startswith(b"HTTP/1.1 502 ")

    def test_switch_that_was_not_asked_for_is_no_tunnel(
        self, worker: WorkerProcess, node: ScriptedNode
    ) -> None:
        peer = opened(worker)
        peer.send(GET)
        back = node.connection()
        back.read_head()
        back.send(SWITCH)
        assert peer.read_head().startswith(b"HTTP/1.1 502 ")

    def test_refused_upgrade_leaves_http(self, worker: WorkerProcess, node: ScriptedNode) -> None:
        peer = opened(worker)
        peer.send(UPGRADE)
        back = node.connection()
        exchange(peer, back, OK.replace(b"200 OK", b"403 No"))
        peer.send(GET)
        exchange(peer, back)

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    def test_end_of_one_direction_leaves_the_other(
        self, worker: WorkerProcess, node: ScriptedNode, version: ssl.TLSVersion
    ) -> None:
        worker._client.maximum_version = version  # pyright: ignore[reportPrivateUsage]
        peer, back = tunnel(worker, node)
        peer.send(b"last")
        _end_writing(peer.socket)
        assert back.read_to_end() == b"last"
        for _ in range(50):
            back.send(b"x" * 10_000)
        _end_writing(back.socket)
        assert len(peer.read_to_end()) == 500_000

    @pytest.mark.parametrize("side", [0, 1])
    def test_cut_side_ends_the_other(
        self, worker: WorkerProcess, node: ScriptedNode, side: int
    ) -> None:
        ends = tunnel(worker, node)
        cut, other = ends[side], ends[1 - side]
        reset = struct.pack("ii", 1, 0)
        cut.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
        socket.socket.close(cut.socket)
        assert other.read_to_end() == b""

    @pytest.mark.parametrize("side", [0, 1])
    def test_reader_that_stops_stops_the_writer_and_loses_nothing(
        self, worker: WorkerProcess, node: ScriptedNode, side: int
    ) -> None:
        ends = tunnel(worker, node)
        writer, reader = ends[side], ends[1 - side]
        before = _resident_bytes(worker.process.pid)
        writer.socket.settimeout(0.3)
        sent = 0
        with suppress(TimeoutError):
            while True:
                sent += writer.socket.send(b"y" * 65_536)
        assert _resident_bytes(worker.process.pid) - before < 2_000_000
        read = 0
        while read < sent:
            read += len(reader.read(min(65_536, sent - read)))
        assert read == sent

    def test_idle_tunnel_ends(self, start_worker: StartWorker, node: ScriptedNode) -> None:
        worker = start_worker(limits={"flush_timeout_s": 0.2, "tunnel_timeout_s": 0.5})
        worker.see(node.node())
        peer, back = tunnel(worker, node)
        assert peer.read_to_end() == b""
        assert back.read_to_end() == b""
        worker.wait_for_count('tunnels_ended_total{why="idle"}', 1)


class TestLimits:
    def test_slow_head_is_told(self, start_worker: StartWorker) -> None:
        worker = start_worker(limits={"head_timeout_s": 0.3})
        peer = opened(worker)
        peer.send(b"GET / HTTP/1.1\r\n")
        assert peer.read_head().startswith(b"HTTP/1.1 408 ")

    @pytest.mark.parametrize("is_answer", [False, True])
    def test_body_that_does_not_go_on_is_given_up(
        self, start_worker: StartWorker, node: ScriptedNode, is_answer: bool
    ) -> None:
        worker = start_worker(limits={"body_timeout_s": 0.3, "answer_timeout_s": 0.3})
        worker.see(node.node())
        peer = opened(worker)
        if is_answer:
            peer.send(GET)
            back = node.connection()
            back.read_head()
            back.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            assert peer.read_head().startswith(b"HTTP/1.1 200 ")
            assert peer.read_to_end() == b"half"
        else:
            peer.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
            assert peer.read_head().startswith(b"HTTP/1.1 408 ")

    def test_silent_client_is_let_go(self, start_worker: StartWorker) -> None:
        worker = start_worker(limits={"head_timeout_s": 0.3})
        assert opened(worker).read_to_end() == b""

    def test_large_head_is_refused(self, worker: WorkerProcess) -> None:
        peer = opened(worker)
        peer.send(b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 20_000)
        assert peer.read_head().startswith(b"HTTP/1.1 431 ")

    def test_handshake_has_an_end(self, start_worker: StartWorker) -> None:
        worker = start_worker(limits={"handshake_timeout_s": 0.3})
        with closing(worker.connect_plainly()) as silent:
            assert silent.recv(1) == b""

    def test_host_that_is_no_ascii_fails_without_a_word(
        self,
        start_worker: StartWorker,
        authority: Authority,
        capfd: pytest.CaptureFixture[str],
    ) -> None:
        issued = [authority.issue(f"{name}.example") for name in ("north", "south")]
        chains = tuple(ServerCertificate(files.cert, files.key) for files in issued)
        worker = start_worker(certificates=chains)
        hello = ssl.MemoryBIO()
        side = authority.client_context().wrap_bio(
            ssl.MemoryBIO(), hello, server_hostname="marked.example"
        )
        with suppress(ssl.SSLWantReadError):
            side.do_handshake()
        peer = client(worker.connect_plainly())
        peer.send(hello.read().replace(b"marked", b"\xffark\ned"))
        assert peer.read_to_end()  # an alert
        worker.wait_for_count('handshakes_total{outcome="failed"}', 1)
        assert capfd.readouterr().err == ""

    def test_handshakes_at_once_are_bounded(
        self, start_worker: StartWorker, node: ScriptedNode
    ) -> None:
        worker = start_worker(limits={"max_handshakes": 2, "handshake_timeout_s": 600})
        worker.see(node.node())
        silent = [worker.connect_plainly() for _ in range(5)]
        peer = opened(worker)  # those before it take long, and make room
        peer.send(GET)
        exchange(peer, node.connection())
        worker.wait_for_count('handshakes_total{outcome="slow"}', 4)
        assert client(silent[0]).read_to_end() == b""
        silent[4].settimeout(0)
        with pytest.raises(BlockingIOError):  # nobody waits any more
            silent[4].recv(1)

    def test_connections_of_an_address_are_bounded(self, start_worker: StartWorker) -> None:
        worker = start_worker(limits={"max_connections_per_address": 2})
        kept = [opened(worker) for _ in range(2)]
        with pytest.raises(OSError):  # noqa: PT011 - reset, or the end within the handshake
            opened(worker)
        kept[0].close()
        worker.wait_for_count("connections_open", 1)
        opened(worker)

    def test_plain_http_where_tls_is_due_is_told_to_use_https(self, worker: WorkerProcess) -> None:
        for body in (b"", b"x" * 1_000):
            head = b"POST /secret HTTP/1.1\r\nHost: ward\r\nContent-Length: %d\r\n\r\n" % len(body)
            with closing(worker.connect_plainly()) as plain:
                plain.sendall(head + body)
                answer = b"".join(iter(lambda: plain.recv(65_536), b""))
            head, _, text = answer.partition(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 403 ")
            assert b"\r\nStrict-Transport-Security" not in head
            assert text == b"Ask for this with https.\n"
        worker.wait_for_count('handshakes_total{outcome="plain"}', 2)

    def test_plain_http_is_redirected(self, worker: WorkerProcess) -> None:
        peer = client(worker.connect_plainly("redirect"))
        peer.send(GET)
        head = peer.read_head()
        assert head.startswith(b"HTTP/1.1 308 ")
        assert b"\r\nLocation: https://ward.example/ward?patient=7\r\n" in head

    def test_proxy_header_names_the_client(self, worker: WorkerProcess, node: ScriptedNode) -> None:
        header = b"PROXY TCP4 203.0.113.9 203.0.113.1 4000 443\r\n"
        peer = client(worker.connect("proxied", header))
        peer.send(GET)
        assert b"\r\nX-Forwarded-For: 203.0.113.9\r\n" in node.connection().read_head()

    def test_half_a_proxy_header_keeps_nobody_busy(self, start_worker: StartWorker) -> None:
        worker = start_worker(limits={"handshake_timeout_s": 1})
        peer = client(worker.connect_plainly("proxied"))
        before = _processor_s(worker.process.pid)
        peer.send(b"PROXY ")
        assert peer.read_to_end() == b""
        assert _processor_s(worker.process.pid) - before < 0.1

    def test_proxy_header_may_come_in_pieces(
        self, worker: WorkerProcess, node: ScriptedNode
    ) -> None:
        plain = worker.connect_plainly("proxied")
        for piece in (b"P", b"ROXY TCP4 203.0.113.9 203.0.113.1", b" 4000 443\r\n"):
            plain.sendall(piece)
            worker.counts()
        peer = client(worker.shake_hands(plain))
        peer.send(GET)
        assert b"\r\nX-Forwarded-For: 203.0.113.9\r\n" in node.connection().read_head()

    def test_proxy_header_of_a_stranger_is_not_read(self, start_worker: StartWorker) -> None:
        worker = start_worker(trusted_senders=("192.0.2.0/24",))
        with closing(worker.connect_plainly("proxied")) as peer:
            assert peer.recv(1) == b""


class TestLife:
    def test_worker_that_retires_ends_with_its_last_connection(
        self, worker: WorkerProcess, node: ScriptedNode
    ) -> None:
        peer, back = tunnel(worker, node)
        idle = opened(worker)
        worker.retire()
        assert idle.read_to_end() == b""
        back.send(b"still here")
        assert peer.read(10) == b"still here"
        peer.close()
        assert worker.process.wait(TIMEOUT_S) == 0

    def test_what_is_left_is_cut_in_time(self, worker: WorkerProcess, node: ScriptedNode) -> None:
        peer, _back = tunnel(worker, node)
        worker.retire(0.2)
        assert peer.read_to_end() == b""
        assert worker.process.wait(TIMEOUT_S) == 0

    def test_configuration_that_cannot_be_used_changes_nothing(
        self, worker: WorkerProcess, node: ScriptedNode, authority: Authority
    ) -> None:
        before = worker.connect().getpeercert(True)
        other = authority.issue("localhost")
        certificates = (ServerCertificate(other.cert, other.key),)
        changes = {"access_log": "/nowhere/access.log", "certificates": certificates}
        assert "nowhere" in worker.configure(**changes).problem
        assert worker.connect().getpeercert(True) == before
        peer = opened(worker)
        peer.send(GET)
        exchange(peer, node.connection())


def _is_left_alone(node: ScriptedNode) -> bool:
    try:
        back = node._accepted.get(timeout=1)  # pyright: ignore[reportPrivateUsage]
    except Exception:
        return True
    node._accepted.put(back)  # pyright: ignore[reportPrivateUsage]
    return False


def _end_writing(connection: socket.socket) -> None:
    if isinstance(connection, ssl.SSLSocket):
        connection.setblocking(False)
        with suppress(ssl.SSLWantReadError):
            connection.unwrap()
        connection.settimeout(TIMEOUT_S)
    socket.socket.shutdown(connection, socket.SHUT_WR)


def _processor_s(pid: int) -> float:
    with open(f"/proc/{pid}/stat") as file:
        user, system = file.read().rpartition(")")[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


def _resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm") as file:
        return int(file.read().split()[1]) * 4096


class TestFullFileTable:
    def test_without_a_descriptor_for_a_node_a_client_is_told_to_come_back(
        self, start_worker: StartWorker, node: ScriptedNode, capfd: pytest.CaptureFixture[str]
    ) -> None:
        worker = start_worker(limits={"connect_timeout_s": 0.2})
        worker.see(node.node())
        peer = opened(worker)
        with worker.room_for(0):
            peer.send(GET)
            head = peer.read_head()
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 2\r\n" in head
            worker.wait_for_count('refusals_total{why="no-descriptors"}', 1)
        # Nothing of what did not come about counts against the node.
        worker.counts()
        worker.counts()
        assert not worker.noticed
        assert "mistake" not in capfd.readouterr().err
        again = opened(worker)
        again.send(GET)
        exchange(again, node.connection())

    def test_who_cannot_be_accepted_waits(
        self, start_worker: StartWorker, node: ScriptedNode, capfd: pytest.CaptureFixture[str]
    ) -> None:
        worker = start_worker()
        worker.see(node.node())
        with worker.room_for(0):
            waiting = worker.connect_plainly()
            said = ""
            while "no connection can be accepted: Too many open files" not in said:
                worker.counts()
                said += capfd.readouterr().err
        peer = client(worker.shake_hands(waiting))
        peer.send(GET)
        exchange(peer, node.connection())
