"""A node of a cluster takes its balancers, and no certificate that is wrong in one of nine ways."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TypeAlias

import pytest
from structlog.testing import capture_logs
from tests.cluster_certificates import CLIENT, SERVER, Certificate
from tests.integration.cluster.conftest import Cluster

_NOW = datetime.now(UTC)
_DAY = timedelta(days=1)
_B1 = "bolide://ward/balancer/b1"
_VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]

Issue: TypeAlias = Callable[[Cluster], Certificate]


def _denied(cluster: Cluster) -> Certificate:
    certificate = cluster.authority.issue(_B1)
    cluster.denied.write_text(f"{certificate.fingerprint}  # lost\n")
    return certificate


# What is wrong -> the certificate, and who refuses it why: OpenSSL's alert, or the node's log.
_WRONG: dict[str, tuple[Issue, str, str]] = {
    "expired": (
        lambda cluster: cluster.authority.issue(_B1, begins=_NOW - 2 * _DAY, ends=_NOW - _DAY),
        "CERTIFICATE_EXPIRED",
        "",
    ),
    "not yet valid": (
        lambda cluster: cluster.authority.issue(_B1, begins=_NOW + _DAY, ends=_NOW + 2 * _DAY),
        "BAD_CERTIFICATE",
        "",
    ),
    "self-signed": (
        lambda cluster: cluster.authority.issue(_B1, is_self_signed=True),
        "UNKNOWN_CA",
        "",
    ),
    "of another authority": (lambda cluster: cluster.stranger.issue(_B1), "UNKNOWN_CA", ""),
    "with another name": (
        lambda cluster: cluster.authority.issue("https://b1.example.org"),
        "",
        "no-identity",
    ),
    "a node's, as it is signed": (
        lambda cluster: cluster.authority.issue("bolide://ward/node/n2", purposes=[SERVER]),
        "CERTIFICATE",
        "",
    ),
    "a node's, for any purpose": (
        lambda cluster: cluster.authority.issue("bolide://ward/node/n2"),
        "",
        "other-role",
    ),
    "an operator's": (
        lambda cluster: cluster.authority.issue("bolide://ward/ops/ada", purposes=[CLIENT]),
        "",
        "other-role",
    ),
    "of another cluster": (
        lambda cluster: cluster.authority.issue("bolide://other/balancer/b1"),
        "",
        "other-cluster",
    ),
    "denied": (_denied, "", "denied"),
}


@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize("what", _WRONG)
async def test_a_wrong_certificate_gets_no_answer(
    cluster: Cluster, version: ssl.TLSVersion, what: str
) -> None:
    issue, alert, reason = _WRONG[what]
    client = cluster.client(issue(cluster), version)
    with capture_logs() as told:
        said = await cluster.wait(client)
        asked = await cluster.ask(client)
    assert said.answer == asked.answer == b""
    assert alert in said.alert
    assert bool(said.alert) == bool(alert)
    assert [entry["reason"] for entry in told] == ([reason] if reason else [])


@pytest.mark.parametrize("version", _VERSIONS)
async def test_whoever_shows_no_certificate_gets_no_answer(
    cluster: Cluster, version: ssl.TLSVersion
) -> None:
    said = await cluster.wait(cluster.client(None, version))
    assert said.answer == b""
    assert "ALERT" in said.alert


@pytest.mark.parametrize("version", _VERSIONS)
async def test_a_balancer_is_answered_and_its_session_resumed(
    cluster: Cluster, version: ssl.TLSVersion
) -> None:
    client = cluster.client(cluster.authority.issue(_B1, purposes=[CLIENT]), version)
    first = await cluster.ask(client)
    assert first.answer.startswith(b"HTTP/1.1 200 ")
    again = await cluster.ask(client, session=first.session)
    assert again.is_resumed
    assert again.answer.startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("version", _VERSIONS)
async def test_a_balancer_that_was_denied_meanwhile_is_not_let_in_by_its_session(
    cluster: Cluster, version: ssl.TLSVersion
) -> None:
    certificate = cluster.authority.issue(_B1)
    client = cluster.client(certificate, version)
    first = await cluster.ask(client)
    cluster.denied.write_text(f"{certificate.fingerprint}\n")
    with capture_logs() as told:
        again = await cluster.ask(client, session=first.session)
    assert again.answer == b""
    assert [entry["reason"] for entry in told] == ["denied"]


async def test_plain_text_is_told_what_to_do(cluster: Cluster) -> None:
    with socket.create_connection(("127.0.0.1", cluster.port), timeout=20) as raw:
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(raw, b"GET / HTTP/1.1\r\nHost: ward.example.org\r\n\r\n")
        answer = await loop.sock_recv(raw, 65_536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"This port speaks TLS" in answer
