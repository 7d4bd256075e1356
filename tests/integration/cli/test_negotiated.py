"""What an outside probe finds on the listeners of a node, and what an operator is told."""

import asyncio
from pathlib import Path

import pytest
from tests.cluster_certificates import SERVER, CertificateAuthority
from tests.integration.cli.conftest import Start
from tests.tls_probe import TLS_1_2, TLS_1_3, probe

from bolide.balancer.tls.openssl_configuration import FILE

_P256, _P384 = 23, 24
_AES_GCM = {TLS_1_2: {0xC02B, 0xC02C}, TLS_1_3: {0x1301, 0x1302}}


@pytest.fixture
def node(tmp_path: Path) -> None:
    """Write an app, and the settings of a node of a cluster."""
    authority = CertificateAuthority(tmp_path)
    own = authority.issue("bolide://ward/node/n1", purposes=[SERVER])
    (tmp_path / "served.py").write_text("from bolide.server import App\n\napp = App()\n")
    (tmp_path / "bolide.toml").write_text(
        'store = "memory:"\nport = 0\nmanagement_port = 0\n'
        'public_url = "https://ward.example.org"\ncluster = "ward"\n'
        f'tls_cert = "{own.chain}"\ntls_key = "{own.key}"\ntls_client_ca = "{authority.pem}"\n'
    )


@pytest.mark.usefixtures("node")
async def test_every_listener_takes_two_versions_their_suites_and_two_groups(bolide: Start) -> None:
    command = await bolide("run", "served:app")
    for pattern in (r"served:app at https://127\.0\.0\.1:(\d+)/", r"metrics: https://[^:]+:(\d+)/"):
        port = int((await command.said(pattern))[1])
        taken = await asyncio.to_thread(probe, port)
        assert taken.suites == _AES_GCM
        assert taken.groups == {_P256, _P384}
    assert "Only balancers of the cluster ward may connect." in command.out


@pytest.mark.usefixtures("node")
async def test_another_configuration_that_allows_more_is_refused(
    bolide: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lax = tmp_path / "lax.cnf"
    lax.write_text(FILE.read_text().replace(":P-384", ":P-384:X25519"))
    monkeypatch.setenv("OPENSSL_CONF", str(lax))
    command = await bolide("run", "served:app")
    assert await command.status() == 2
    await command.said(r"^bolide: OPENSSL_CONF is .*X25519 .*taken\. Unset it", stream="err")
    assert command.err.count("\n") == 1


@pytest.mark.usefixtures("node")
async def test_the_probe_finds_what_should_not_be(bolide: Start, tmp_path: Path) -> None:
    """Without our configuration the probe finds more, or it would find nothing at all."""
    from tests.integration.cluster.conftest import Cluster

    from bolide.server import App

    cluster = Cluster(tmp_path)
    async with cluster.running(App()):
        taken = await asyncio.to_thread(probe, cluster.port)
    assert 0x1303 in taken.suites[TLS_1_3]
    assert 29 in taken.groups
