"""Every case of the tables: refused, or passed on as exactly one thing."""

import pytest
from tests.desync.passing import pass_requests, pass_response
from tests.desync.requests import REQUESTS, RequestCase
from tests.desync.responses import RESPONSES, ResponseCase

from bolide.balancer.heads.request import parse_request


def singly(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def test_the_tables_are_whole() -> None:
    names = [case.name for case in REQUESTS]
    assert len(set(names)) == len(names) >= 170
    names = [case.name for case in RESPONSES]
    assert len(set(names)) == len(names) >= 50


@pytest.mark.parametrize("case", REQUESTS, ids=lambda case: case.name)
def test_a_request_is_refused_or_passed_on(case: RequestCase) -> None:
    for pieces in ([case.wire], singly(case.wire)):
        passed = pass_requests(pieces)
        assert b"".join(passed.complete) == case.node_gets
        assert passed.status == case.status


@pytest.mark.parametrize("case", RESPONSES, ids=lambda case: case.name)
def test_a_response_is_refused_or_passed_on(case: ResponseCase) -> None:
    request = parse_request(case.request, max_fields=100, cookie_name=b"__Host-bolide_lb")
    for pieces in ([case.wire], singly(case.wire)):
        passed = pass_response(request, pieces)
        assert b"".join(passed.complete) == case.client_gets
        assert passed.status == (case.becomes if isinstance(case.becomes, int) else None)
