"""Every case of the tables on the shipped data plane: TLS to a real worker, real sockets behind."""

import re
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

import pytest
from tests.certificates import Authority
from tests.desync.passing import pass_response
from tests.desync.requests import REQUESTS, RequestCase
from tests.desync.responses import RESPONSES, ResponseCase
from tests.desync.talking import talk_tls
from tests.integration.balancer.worker_process import WorkerProcess
from tests.raw_node import RawNode

from bolide.balancer.heads.forwarding import forwarding_fields
from bolide.balancer.heads.request import parse_request
from bolide.balancer.worker.messages import Node, NodeTLS

FORWARDING: Final = forwarding_fields("127.0.0.1", is_tls=True)
OURS: Final = re.compile(
    rb"(?:Set-Cookie: __Host-bolide_lb=[^\r]*|Strict-Transport-Security: [^\r]*)\r\n"
)
STATUS: Final = re.compile(rb"HTTP/1\.1 ([0-9]{3}) ")


@dataclass(frozen=True)
class Line:
    """From a client over a worker to a node."""

    node: RawNode
    port: int
    context: ssl.SSLContext

    def talk(self, data: bytes) -> bytes:
        answered = talk_tls(self.port, data, self.context)
        self.node.settle()
        return answered


@pytest.fixture(scope="module")
def line(authority: Authority) -> Iterator[Line]:
    with ExitStack() as stack:
        node = stack.enter_context(RawNode())
        worker = WorkerProcess(authority, nodes=NodeTLS(verify="off"))
        stack.enter_context(worker)
        worker.see(Node(name="north", host="127.0.0.1", port=node.port))
        yield Line(node, worker.address()[1], authority.client_context())


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.name)
def test_a_request_is_refused_or_passed_on(case: RequestCase, line: Line) -> None:
    line.node.begin()
    answered = line.talk(case.wire)
    for request in line.node.requests:
        assert request.partition(b"\r\n\r\n")[0].endswith(FORWARDING.removesuffix(b"\r\n"))
    got = b"".join(request.replace(FORWARDING, b"", 1) for request in line.node.requests)
    assert got == case.node_gets
    refused = [int(status) for status in STATUS.findall(answered) if status != b"200"]
    assert refused == ([case.status] if case.status else [])


@pytest.mark.parametrize("case", RESPONSES, ids=lambda case: case.name)
def test_a_response_is_refused_or_passed_on(case: ResponseCase, line: Line) -> None:
    line.node.begin(case.wire, ends=True)
    answered = OURS.sub(b"", line.talk(case.request))
    assert len(line.node.requests) == 1
    asked = parse_request(case.request, max_fields=100, cookie_name=b"__Host-bolide_lb")
    if isinstance(case.becomes, str):
        assert answered == case.client_gets
    elif case.becomes is not None:
        assert STATUS.findall(answered)[-1] == b"%d" % case.becomes
        assert b"evil" not in answered
    else:
        assert pass_response(asked, [answered]).complete == []
