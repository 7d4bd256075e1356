"""From `bolide ca` to a node that serves: what the authority makes is what both sides take."""

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest
from structlog.testing import capture_logs
from tests.cluster_certificates import Certificate
from tests.integration.cluster.conftest import Cluster

from bolide.balancer.tls.node_context import NodeContext
from bolide.balancer.worker.messages import NodeTLS
from bolide.core.identity import parse_identity
from bolide.ops.certificates.authority import Authority
from bolide.ops.certificates.denied_list import deny, read_fingerprint
from bolide.ops.certificates.request import make_request, read_request
from bolide.server import App

_PASSPHRASE = b"five words, drawn by lot"
_OK = b"HTTP/1.1 200 "


class Place:
    """An authority, and the files of those whom it signs for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority.create(folder / "ca", "ward", _PASSPHRASE, datetime.now(UTC))

    def issue(self, uri: str, folder: str) -> Certificate:
        identity = parse_identity(uri)
        key, csr = make_request(identity, (), self.folder / folder)
        request = read_request(csr, "ward")
        chain = csr.with_suffix(".pem")
        chain.write_bytes(self.authority.sign(request, _PASSPHRASE, datetime.now(UTC)))
        return Certificate(str(chain), str(key), read_fingerprint(str(chain)))

    def client(self, certificate: Certificate) -> ssl.SSLContext:
        """Return the side of a balancer."""
        tls = NodeTLS(ca=str(self.authority.bundle), chain=certificate.chain, key=certificate.key)
        context = NodeContext(tls, "ward").context
        assert context is not None
        return context


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def _cluster(place: Place) -> Cluster:
    return Cluster(place.folder, authorities=str(place.authority.bundle))


async def test_a_balancer_reaches_a_node_until_it_is_denied(place: Place, app: App) -> None:
    cluster = _cluster(place)
    own = place.issue("bolide://ward/node/n1", "node")
    balancer = place.issue("bolide://ward/balancer/b1", "balancer")
    async with cluster.running(app, own):
        client = place.client(balancer)
        assert (await cluster.ask(client)).answer.startswith(_OK)
        deny(cluster.denied, balancer.fingerprint, "lost")
        with capture_logs() as told:
            assert (await cluster.ask(client)).answer == b""
        assert [entry["reason"] for entry in told] == ["denied"]


async def test_a_rotation_shuts_nobody_out_until_it_is_finished(place: Place, app: App) -> None:
    before = place.issue("bolide://ward/balancer/b1", "before")
    node = place.issue("bolide://ward/node/n1", "node-before")
    place.authority = place.authority.rotate(_PASSPHRASE, datetime.now(UTC))
    cluster = _cluster(place)
    async with cluster.running(app, node):
        after = place.issue("bolide://ward/balancer/b1", "after")
        for certificate in (before, after):
            assert (await cluster.ask(place.client(certificate))).answer.startswith(_OK)
    renewed = place.issue("bolide://ward/node/n1", "node-after")
    place.authority = place.authority.finish(datetime.now(UTC))
    async with cluster.running(app, renewed):
        assert (await cluster.ask(place.client(after))).answer.startswith(_OK)
        said = await cluster.wait(place.client(before))
        assert said.answer == b""
        assert "UNKNOWN_CA" in said.alert
