"""A worker sends nothing to a node that is another, and a node answers no other worker."""

import asyncio
import ssl
from collections.abc import AsyncGenerator, Callable
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest
from cryptography.x509 import ObjectIdentifier
from structlog.testing import capture_logs
from tests.certificates import Authority
from tests.cluster_certificates import CLIENT, SERVER, Certificate, CertificateAuthority
from tests.integration.balancer.conftest import StartWorker
from tests.integration.balancer.scripted_node import ScriptedNode
from tests.integration.balancer.worker_process import WorkerProcess
from tests.integration.cluster.conftest import PUBLIC
from tests.integration.cluster.conftest import Cluster as NodeOfCluster

from bolide.balancer.worker.messages import Node, NodeTLS
from bolide.server import App

_NOW = datetime.now(UTC)
_DAY = timedelta(days=1)
_N1, _B1 = "bolide://ward/node/n1", "bolide://ward/balancer/b1"
_VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]
_REQUEST = f"GET / HTTP/1.1\r\nHost: {PUBLIC}\r\nConnection: close\r\n\r\n".encode()

Issue: TypeAlias = Callable[[CertificateAuthority, CertificateAuthority], Certificate]


def _wrong(right: str, other_role: str, purpose: ObjectIdentifier) -> dict[str, Issue]:
    """Return what is wrong -> how such a certificate is made, beside denying it."""
    return {
        "expired": lambda own, _: own.issue(right, begins=_NOW - 2 * _DAY, ends=_NOW - _DAY),
        "not yet valid": lambda own, _: own.issue(right, begins=_NOW + _DAY, ends=_NOW + 2 * _DAY),
        "self-signed": lambda own, _: own.issue(right, is_self_signed=True),
        "of another authority": lambda _, stranger: stranger.issue(right),
        "of another role": lambda own, _: own.issue(other_role),
        "of another role, as it is signed": lambda own, _: own.issue(
            other_role,
            purposes=[purpose],
        ),
        "of another cluster": lambda own, _: own.issue(right.replace("ward", "other")),
        "of nobody": lambda own, _: own.issue("https://n1.example.org"),
    }


_WRONG_NODES: dict[str, Issue] = {
    **_wrong(_N1, "bolide://ward/balancer/n1", CLIENT),
    "with another name": lambda own, _: own.issue("bolide://ward/node/n2"),
}
_WRONG_BALANCERS = _wrong(_B1, "bolide://ward/node/n2", SERVER)


@pytest.fixture
def cluster(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path)


@pytest.fixture
def stranger(tmp_path: Path) -> CertificateAuthority:
    return CertificateAuthority(tmp_path, "stranger")


def _right(uri: str) -> Issue:
    return lambda own, _: own.issue(uri)


def _tls(cluster: CertificateAuthority, own: Certificate, *denied: str) -> NodeTLS:
    return NodeTLS(ca=cluster.pem, chain=own.chain, key=own.key, denied=frozenset(denied))


def _status(worker: WorkerProcess) -> int:
    """Return the status of what a browser is answered."""
    browser = worker.connect()
    browser.sendall(_REQUEST)
    answer = b""
    while data := browser.recv(65_536):
        answer += data
    return int(answer.split(b" ", 2)[1])


class TestNode:
    def start(
        self,
        stack: ExitStack,
        authority: Authority,
        cluster: CertificateAuthority,
        certificate: Certificate,
        version: ssl.TLSVersion,
    ) -> ScriptedNode:
        context = cluster.server(certificate, version=version)
        return stack.enter_context(ScriptedNode(authority, "n1", context=context))

    @pytest.mark.parametrize("version", _VERSIONS)
    @pytest.mark.parametrize("what", [*_WRONG_NODES, "denied"])
    def test_a_wrong_certificate_gets_no_request(
        self,
        what: str,
        version: ssl.TLSVersion,
        start_worker: StartWorker,
        stack: ExitStack,
        authority: Authority,
        cluster: CertificateAuthority,
        stranger: CertificateAuthority,
    ) -> None:
        issue = _WRONG_NODES.get(what, _right(_N1))
        certificate = issue(cluster, stranger)
        denied = [certificate.fingerprint] if what == "denied" else []
        node = self.start(stack, authority, cluster, certificate, version)
        worker = start_worker(cluster="ward", nodes=_tls(cluster, cluster.issue(_B1), *denied))
        worker.see(node.node())
        assert _status(worker) in (502, 503)
        while not worker.noticed:
            worker.hear()
        assert {noticed.what for noticed in worker.noticed} == {"untrusted"}
        while not node.is_left_alone:  # with TLS 1.3 a client ends its part first
            assert node.connection().read_to_end() == b""

    @pytest.mark.parametrize("version", _VERSIONS)
    def test_the_right_one_gets_it(
        self,
        version: ssl.TLSVersion,
        start_worker: StartWorker,
        stack: ExitStack,
        authority: Authority,
        cluster: CertificateAuthority,
    ) -> None:
        node = self.start(stack, authority, cluster, cluster.issue(_N1), version)
        worker = start_worker(cluster="ward", nodes=_tls(cluster, cluster.issue(_B1)))
        worker.see(node.node())
        browser = worker.connect()
        browser.sendall(_REQUEST)
        connection = node.connection()
        assert connection.read_head().startswith(b"GET / HTTP/1.1\r\n")
        connection.send(b"HTTP/1.1 204 No Content\r\n\r\n")
        assert browser.recv(65_536).startswith(b"HTTP/1.1 204 ")


class TestBalancer:
    @pytest.fixture
    async def node(self, tmp_path: Path) -> AsyncGenerator[NodeOfCluster]:
        (tmp_path / "node").mkdir()
        node = NodeOfCluster(tmp_path / "node")
        async with node.running(App()):
            yield node

    def status(self, worker: WorkerProcess, node: NodeOfCluster) -> int:
        worker.see(Node(name="n1", host="127.0.0.1", port=node.port))
        return _status(worker)

    @pytest.mark.parametrize("what", [*_WRONG_BALANCERS, "denied"])
    async def test_a_wrong_certificate_gets_no_answer(
        self, what: str, start_worker: StartWorker, node: NodeOfCluster
    ) -> None:
        issue = _WRONG_BALANCERS.get(what, _right(_B1))
        certificate = issue(node.authority, node.stranger)
        if what == "denied":
            node.denied.write_text(f"{certificate.fingerprint}\n")
        worker = await asyncio.to_thread(
            start_worker, cluster="ward", nodes=_tls(node.authority, certificate)
        )
        with capture_logs() as told:
            assert await asyncio.to_thread(self.status, worker, node) in (502, 503)
        assert {entry["reason"] for entry in told} <= {
            "denied", "other-role", "other-cluster", "no-identity",
        }  # fmt: skip

    async def test_the_right_one_is_answered(
        self, start_worker: StartWorker, node: NodeOfCluster
    ) -> None:
        own = node.authority.issue(_B1, purposes=[CLIENT])
        worker = await asyncio.to_thread(
            start_worker, cluster="ward", nodes=_tls(node.authority, own)
        )
        assert await asyncio.to_thread(self.status, worker, node) == 200
