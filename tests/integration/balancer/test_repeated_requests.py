"""The same request again and again over one connection, for which a worker takes a shortcut."""

import json
from pathlib import Path

import pytest
from tests.integration.balancer.conftest import StartNode, StartWorker
from tests.integration.balancer.scripted_node import NodeConnection, ScriptedNode
from tests.integration.balancer.test_relay import GET, OK, exchange, opened
from tests.integration.balancer.worker_process import WorkerProcess

TIMES = 5
"""More often than a worker needs to make a shortcut."""


def repeated(worker: WorkerProcess, node: ScriptedNode) -> tuple[NodeConnection, NodeConnection]:
    """Return both ends of a connection on which a request was often repeated."""
    peer = opened(worker)
    peer.send(GET)
    back = node.connection()
    exchange(peer, back)
    for _ in range(TIMES - 1):
        peer.send(GET)
        exchange(peer, back)
    return peer, back


def test_each_is_passed_on_and_gets_its_own_body(worker: WorkerProcess, node: ScriptedNode) -> None:
    peer, back = opened(worker), None
    asked: list[bytes] = []
    answered: list[bytes] = []
    for number in range(TIMES):
        peer.send(GET)
        back = back or node.connection()
        asked.append(back.read_head())
        back.send(OK[:-1] + b"%d" % number)
        answered.append(peer.read_head())
        assert peer.read(5) == b"hell%d" % number
    assert len(set(asked)) == 1
    assert asked[0].startswith(b"GET /ward?patient=7 HTTP/1.1\r\n")
    assert len(set(answered[1:])) == 1  # the first one sets the cookie
    assert b"Strict-Transport-Security: " in answered[-1]


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK.replace(b"200 OK", b"404 No"), b"hello"),
        (OK.replace(b": 5", b": 3")[:-2], b"hel"),
        (OK.replace(b"\r\n\r\n", b"\r\nA: b\r\n\r\n"), b"hello"),
        (OK.replace(b"Content-Length: 5", b"Transfer-Encoding: chunked")[:-5] + b"0\r\n\r\n", b""),
    ],
)
def test_another_answer_is_passed_on_as_it_is(
    worker: WorkerProcess, node: ScriptedNode, answer: bytes, body: bytes
) -> None:
    peer, back = repeated(worker, node)
    for _ in range(TIMES):
        peer.send(GET)
        back.read_head()
        back.send(answer)
        status = answer.partition(b"\r\n")[0]
        assert peer.read_head().startswith(status)
        assert peer.read(len(body)) == body
        if not body:
            assert peer.read_until(b"0\r\n\r\n") == b"0\r\n\r\n"
    peer.send(GET)
    exchange(peer, back)


def test_an_answer_may_come_in_pieces(worker: WorkerProcess, node: ScriptedNode) -> None:
    peer, back = repeated(worker, node)
    for size in (1, 20, OK.index(b"hello"), len(OK) - 2):
        peer.send(GET)
        back.read_head()
        back.send(OK[:size])
        worker.counts()
        back.send(OK[size:])
        assert peer.read_head().startswith(b"HTTP/1.1 200 OK\r\n")
        assert peer.read(5) == b"hello"


def test_more_than_the_answer_ends_the_connection(
    worker: WorkerProcess, node: ScriptedNode
) -> None:
    peer, back = repeated(worker, node)
    peer.send(GET)
    back.read_head()
    back.send(OK + OK)
    assert peer.read_head().startswith(b"HTTP/1.1 200 OK\r\n")
    assert peer.read_to_end() == b"hello"


def test_other_requests_may_come_between(worker: WorkerProcess, node: ScriptedNode) -> None:
    peer, back = repeated(worker, node)
    other = GET.replace(b"/ward", b"/beds")
    upload = GET.replace(b"GET", b"PUT").replace(b"\r\n\r\n", b"\r\nContent-Length: 3\r\n\r\n")
    for request in (other, GET, GET, GET, upload + b"abc", GET, GET + GET, other):
        peer.send(request)
        for _ in range(request.count(b" HTTP/1.1\r\n")):
            assert back.read_head().split(b"?")[0] == request.split(b"?")[0]
            if b"PUT" in request:
                assert back.read(3) == b"abc"
            back.send(OK)
            peer.read_head()
            assert peer.read(5) == b"hello"


def test_requests_that_come_together_are_asked_one_after_the_other(
    worker: WorkerProcess, node: ScriptedNode
) -> None:
    peer, back = repeated(worker, node)
    for _ in range(2):
        peer.send(GET)
        back.read_head()
        peer.send(GET * 2)
        worker.counts()
        assert not back.received
        back.send(OK)
        for _ in range(2):
            back.read_head()
            assert not back.received
            back.send(OK)
        for _ in range(3):
            peer.read_head()
            assert peer.read(5) == b"hello"


def test_a_node_that_drains_is_asked_no_more(
    start_worker: StartWorker, start_node: StartNode
) -> None:
    worker, first, second = start_worker(), start_node("first"), start_node("second")
    worker.see(first.node())
    peer, _ = repeated(worker, first)
    worker.see(first.node(state="draining"), second.node())
    peer.send(GET)
    head = exchange(peer, second.connection())
    assert b"Set-Cookie: __Host-bolide_lb=" in head


def test_a_node_that_left_is_replaced(start_worker: StartWorker, start_node: StartNode) -> None:
    worker, first, second = start_worker(), start_node("first"), start_node("second")
    worker.see(first.node())
    peer, back = repeated(worker, first)
    worker.see(first.node(state="down"), second.node())
    back.close()
    peer.send(GET)
    exchange(peer, second.connection())


def test_a_new_configuration_holds_for_the_next_request(
    worker: WorkerProcess, node: ScriptedNode
) -> None:
    peer, back = repeated(worker, node)
    worker.configure(hsts_s=7)
    for _ in range(TIMES):
        peer.send(GET)
        assert b"Strict-Transport-Security: max-age=7\r\n" in exchange(peer, back)


def test_no_answer_in_time_is_said(start_worker: StartWorker, node: ScriptedNode) -> None:
    worker = start_worker(limits={"answer_timeout_s": 0.5})
    worker.see(node.node())
    peer, back = repeated(worker, node)
    peer.send(GET)
    back.read_head()
    assert peer.read_head().startswith(b"HTTP/1.1 504 ")


def test_a_connection_without_a_request_is_ended(
    start_worker: StartWorker, node: ScriptedNode
) -> None:
    worker = start_worker(limits={"idle_timeout_s": 0.5})
    worker.see(node.node())
    peer, _ = repeated(worker, node)
    assert peer.read_to_end() == b""


def test_a_retiring_worker_answers_the_last_one(worker: WorkerProcess, node: ScriptedNode) -> None:
    peer, back = repeated(worker, node)
    peer.send(GET)
    back.read_head()
    worker.retire()
    back.send(OK)
    peer.read_head()
    assert peer.read_to_end() == b"hello"


def test_each_is_counted_and_told(
    start_worker: StartWorker, node: ScriptedNode, tmp_path: Path
) -> None:
    log = tmp_path / "access.log"
    worker = start_worker(access_log=str(log))
    worker.see(node.node())
    peer, back = repeated(worker, node)
    peer.close()
    back.read_to_end()
    worker.wait_for_count('responses_total{class="2xx"}', TIMES)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == TIMES
    for number, line in enumerate(lines, 1):
        assert line["path"] == "/ward"
        assert line["status"] == 200
        assert line["node"] == node.node().name
        assert line["received_bytes"] == number * len(GET)
        assert line["sent_bytes"] == number * len(OK)
        assert line["duration_ms"] >= 0
        assert list(line) == list(lines[0])
    assert all(1.7e9 < line["time"] < 1e10 for line in lines)


def test_the_same_answer_is_understood_by_its_request(
    worker: WorkerProcess, node: ScriptedNode
) -> None:
    peer, back = repeated(worker, node)
    head = OK.removesuffix(b"hello")
    for number in range(TIMES):
        peer.send(GET.replace(b"/ward", b"/beds/%d" % number))
        assert back.read_head().startswith(b"GET /beds/%d?" % number)
        back.send(OK)
        assert b"Content-Length: 5\r\n" in peer.read_head()
        assert peer.read(5) == b"hello"
        peer.send(GET.replace(b"GET", b"HEAD"))
        assert back.read_head().startswith(b"HEAD ")
        back.send(head)  # of a body that does not come
        assert b"Content-Length: 5\r\n" in peer.read_head()
    peer.send(GET.replace(b"HTTP/1.1", b"HTTP/1.0"))
    back.read_head()
    back.send(OK)
    assert b"Connection: close\r\n" in peer.read_head()
    assert peer.read_to_end() == b"hello"
