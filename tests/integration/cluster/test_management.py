"""The management listener of a node of a cluster: each role does what is its own."""

import json

import pytest
from tests.cluster_certificates import CLIENT, SERVER
from tests.integration.cluster.conftest import Cluster

from bolide.ops.top.management_client import Management, ManagementFailed
from bolide.ops.top.operator_context import operator_context

_DRAIN = '{"within": 0}'
_EVERYTHING = [
    ("GET", "/livez", ""),
    ("GET", "/readyz", ""),
    ("GET", "/metrics", ""),
    ("GET", "/top", ""),
    ("POST", "/drain", _DRAIN),
]
_OF_A_BALANCER = [
    ("GET", "/livez", "", 200),
    ("GET", "/livez?x=1", "", 200),
    ("GET", "/readyz", "", 200),
    ("GET", "/metrics", "", 403),
    ("GET", "/top", "", 403),
    ("GET", "/nothing", "", 403),
    ("GET", "/livez/", "", 403),
    ("GET", "//livez", "", 403),
    ("GET", "/livez/../metrics", "", 403),
    ("HEAD", "/livez", "", 403),
    ("GET", "/drain", "", 403),
    ("POST", "/livez", "", 403),
    ("PUT", "/drain", _DRAIN, 403),
    ("POST", "/drain", _DRAIN, 200),
]


async def _status(
    cluster: Cluster, uri: str, method: str, path: str, body: str, headers: str = ""
) -> int:
    certificate = cluster.authority.issue(uri, purposes=[CLIENT])
    said = await cluster.ask(
        cluster.client(certificate),
        path,
        method=method,
        body=body,
        headers=headers,
        port=cluster.management_port,
    )
    return int(said.answer.split(b" ", 2)[1]) if said.answer else 0


async def test_an_operator_may_use_everything(cluster: Cluster) -> None:
    for request in _EVERYTHING:
        assert await _status(cluster, "bolide://ward/ops/ada", *request) == 200, request


async def test_an_operator_looks_at_the_top(cluster: Cluster) -> None:
    own = cluster.authority.issue("bolide://ward/ops/ada", purposes=[CLIENT])
    url = f"https://127.0.0.1:{cluster.management_port}"
    management = Management.at(
        url, lambda: operator_context(cluster.authority.pem, own.chain, own.key)
    )
    assert b'"sessions"' in await management.get("/top")
    other = cluster.authority.issue("bolide://ward/node/n2", purposes=[SERVER])
    management = Management.at(
        url, lambda: operator_context(cluster.authority.pem, other.chain, other.key)
    )
    with pytest.raises(ManagementFailed, match="of an operator of its cluster"):
        await management.get("/top")


async def test_a_balancer_may_do_three_things(cluster: Cluster) -> None:
    for method, path, body, status in _OF_A_BALANCER:
        found = await _status(cluster, "bolide://ward/balancer/b1", method, path, body)
        assert found == status, (method, path)


async def test_a_balancer_learns_how_many_sessions_there_are(cluster: Cluster) -> None:
    certificate = cluster.authority.issue("bolide://ward/balancer/b1", purposes=[CLIENT])
    client = cluster.client(certificate)
    said = await cluster.ask(client, "/readyz", port=cluster.management_port)
    told = json.loads(said.answer.partition(b"\r\n\r\n")[2])
    assert (told["ready"], told["sessions"]) == (True, 0)


async def test_others_are_not_even_answered(cluster: Cluster) -> None:
    for uri in ("bolide://ward/node/n2", "bolide://other/ops/ada"):
        for request in _EVERYTHING:
            assert await _status(cluster, uri, *request) == 0, (uri, request)


async def test_a_node_cannot_manage_with_what_it_serves_with(cluster: Cluster) -> None:
    certificate = cluster.authority.issue("bolide://ward/node/n2", purposes=[SERVER])
    said = await cluster.wait(cluster.client(certificate), port=cluster.management_port)
    assert "CERTIFICATE" in said.alert


async def test_a_page_in_an_operators_browser_may_do_nothing(cluster: Cluster) -> None:
    origin = "Origin: https://evil.example.com\r\n"
    for request in _EVERYTHING:
        assert await _status(cluster, "bolide://ward/ops/ada", *request, origin) == 403, request


async def test_the_balancers_listener_has_no_management(cluster: Cluster) -> None:
    certificate = cluster.authority.issue("bolide://ward/balancer/b1", purposes=[CLIENT])
    for method, path, body in _EVERYTHING:
        said = await cluster.ask(cluster.client(certificate), path, method=method, body=body)
        assert said.answer.split(b" ", 2)[1] in (b"404", b"405")
