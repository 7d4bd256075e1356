"""What a real haproxy does otherwise with the cases of the tables is what our page says."""

import os
import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import pytest
from tests.desync.differences import request_difference, response_difference
from tests.desync.requests import REQUESTS, RequestCase
from tests.desync.responses import RESPONSES, ResponseCase
from tests.desync.talking import talk
from tests.haproxy import HAProxy, find_haproxy, haproxy_version
from tests.raw_node import RawNode

PAGE: Final = Path(__file__).parents[3] / "docs/design/balancer-desync.md"
VERSION: Final = "2.6"
UNSTEADY: Final = "trailer, space before the colon"
"""haproxy passes it on or refuses it, by what it received before."""


def listed(part: str) -> dict[str, str]:
    """Return what the page lists: the name of a case -> what haproxy does."""
    _, _, text = PAGE.read_text().partition(f"\n## {part}\n")
    text, _, _ = text.partition("\n## ")
    rows = re.findall(r'^\* ([^"]+?):\s+("[^*#]+")$', text, re.MULTILINE)
    return {
        " ".join(name.split()): outcome
        for outcome, names in rows
        for name in re.findall(r'"([^"]+)"', names)
    }


@pytest.fixture(scope="module")
def haproxy() -> Iterator[tuple[HAProxy, RawNode]]:
    if find_haproxy() is None and not os.environ.get("CI"):
        pytest.skip("no haproxy: set BOLIDE_HAPROXY, or install it")
    if haproxy_version() != VERSION and not os.environ.get("CI"):
        pytest.skip(f"the page speaks of haproxy {VERSION}, and this is {haproxy_version()}")
    with ExitStack() as stack:
        node = stack.enter_context(RawNode())
        yield stack.enter_context(HAProxy(node.port)), node


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.name)
def test_a_request_differs_as_listed(case: RequestCase, haproxy: tuple[HAProxy, RawNode]) -> None:
    proxy, node = haproxy
    node.begin()
    talk(proxy.port, case.wire)
    node.settle()
    difference = request_difference(case, node.requests)
    if case.name != UNSTEADY:
        assert difference == listed("Requests").get(case.name)


@pytest.mark.parametrize("case", RESPONSES, ids=lambda case: case.name)
def test_a_response_differs_as_listed(case: ResponseCase, haproxy: tuple[HAProxy, RawNode]) -> None:
    proxy, node = haproxy
    node.begin(case.wire, ends=True)
    answered = talk(proxy.port, case.request)
    node.settle()
    assert response_difference(case, answered) == listed("Responses").get(case.name)


def test_the_page_lists_no_case_that_is_none() -> None:
    requests, responses = listed("Requests"), listed("Responses")
    assert requests.keys() <= {case.name for case in REQUESTS}
    assert responses.keys() <= {case.name for case in RESPONSES}
    assert len(requests) > 100
    assert len(responses) > 20
