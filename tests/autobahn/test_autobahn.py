"""Autobahn's fuzzing client finds nothing wrong with the WebSocket class.

Cases 12 and 13 are about compression, which is never agreed on. A push says nothing of the content
of binary messages, so the cases that want it back are left to ASGI.
"""

from pathlib import Path

# What a report holds.
from typing import Any

import pytest
from tests.autobahn.conftest import Autobahn, serving
from tests.autobahn.plain_front import plain_front
from tests.certificates import Authority
from tests.integration.balancer.worker_process import WorkerProcess

from bolide.balancer.worker.messages import Node

COMPRESSION = ("12.*", "13.*")
BINARY = ("1.2.*", "9.2.*", "9.4.*", "9.6.*", "9.8.*")
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}


@pytest.mark.parametrize(
    ("how", "left_out", "count"),
    [("asgi", COMPRESSION, 301), ("push", (*COMPRESSION, *BINARY), 266)],
)
def test_every_case_is_passed(
    autobahn: Autobahn, how: str, left_out: tuple[str, ...], count: int
) -> None:
    with serving(how) as port:
        cases = autobahn.report(port, left_out)
    check(cases, count)


def test_every_case_is_passed_through_a_balancer(autobahn: Autobahn, tmp_path: Path) -> None:
    """It is a worker of one, with TLS on both sides; the fuzzing client has another one's TLS."""
    authority = Authority(tmp_path)
    files = authority.issue("localhost")
    with serving("asgi", files.cert, files.key) as port, WorkerProcess(authority) as worker:
        worker.see(Node(name="echo", host="127.0.0.1", port=port, server_name="localhost"))
        with plain_front(worker.address(), authority.client_context()) as front:
            cases = autobahn.report(front, COMPRESSION)
    check(cases, 301)


def check(cases: dict[str, dict[str, Any]], count: int) -> None:
    """See that there were so many, and that all were passed."""
    bad = {
        name: (case["behavior"], case["behaviorClose"])
        for name, case in cases.items()
        if not {case["behavior"], case["behaviorClose"]} <= GOOD
    }
    assert bad == {}
    assert len(cases) == count
