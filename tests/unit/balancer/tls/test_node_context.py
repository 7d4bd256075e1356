import ssl
from collections.abc import Callable, Generator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TypeAlias

import pytest
from tests.cluster_certificates import CLIENT, SERVER, Certificate, CertificateAuthority
from tests.handshakes import connected, hand_over, shake_hands

from bolide.balancer.tls import node_context
from bolide.balancer.tls.node_context import MAX_RESUMED_S, NodeContext, Untrusted
from bolide.balancer.worker.messages import NodeTLS
from bolide.core.errors import ConfigurationError

_NOW = datetime.now(UTC)
_DAY = timedelta(days=1)
_N1 = "bolide://ward/node/n1"
_VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]

Issue: TypeAlias = Callable[[CertificateAuthority, CertificateAuthority], Certificate]


class Side:
    """A balancer, and nodes that it reaches."""

    def __init__(self, folder: Path) -> None:
        self.authority = CertificateAuthority(folder)
        self.stranger = CertificateAuthority(folder, "stranger")
        self.own = self.authority.issue("bolide://ward/balancer/b1")
        self.now = _NOW.timestamp()

    def settings(self, **changes: object) -> NodeTLS:
        values = {"ca": self.authority.pem, "chain": self.own.chain, "key": self.own.key, **changes}
        return NodeTLS(**values)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    def context(self, **changes: object) -> NodeContext:
        return NodeContext(self.settings(**changes), "ward", wall_s=lambda: self.now)

    def server(
        self, certificate: Certificate, version: ssl.TLSVersion | None = None
    ) -> ssl.SSLContext:
        return self.authority.server(certificate, version=version)


@pytest.fixture(scope="module")
def side(tmp_path_factory: pytest.TempPathFactory) -> Side:
    return Side(tmp_path_factory.mktemp("certificates"))


@contextmanager
def reaching(
    context: NodeContext, server: ssl.SSLContext, name: str = "n1", server_name: str = ""
) -> Generator[tuple[ssl.SSLSocket, ssl.SSLSocket]]:
    """Connect to a node and shake hands; nothing is proved yet."""
    with ExitStack() as stack:
        raw, theirs = stack.enter_context(connected())
        connection = context.wrap(raw, name, server_name)
        assert isinstance(connection, ssl.SSLSocket)
        stack.callback(connection.close)
        node = server.wrap_socket(theirs, server_side=True, do_handshake_on_connect=False)
        stack.callback(node.close)
        shake_hands(connection, node)
        yield connection, node


def _reach(context: NodeContext, server: ssl.SSLContext, name: str = "n1") -> bool:
    """Reach a node as a worker does; tell whether the session was resumed."""
    with reaching(context, server, name) as (connection, node):
        context.prove(connection, name)
        assert hand_over(node, connection) == b"data"
        context.remember(name, connection)
        return bool(connection.session_reused)


def _expired(good: CertificateAuthority, _: CertificateAuthority) -> Certificate:
    return good.issue(_N1, begins=_NOW - 2 * _DAY, ends=_NOW - _DAY)


def _not_yet_valid(good: CertificateAuthority, _: CertificateAuthority) -> Certificate:
    return good.issue(_N1, begins=_NOW + _DAY, ends=_NOW + 2 * _DAY)


def _self_signed(good: CertificateAuthority, _: CertificateAuthority) -> Certificate:
    return good.issue(_N1, is_self_signed=True)


def _other_authority(_: CertificateAuthority, stranger: CertificateAuthority) -> Certificate:
    return stranger.issue(_N1)


def _for_clients_only(good: CertificateAuthority, _: CertificateAuthority) -> Certificate:
    return good.issue("bolide://ward/balancer/b1", purposes=[CLIENT])


def _named(uri: str | None) -> Issue:
    return lambda good, _: good.issue(uri)


@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize(
    "issue", [_expired, _not_yet_valid, _self_signed, _other_authority, _for_clients_only]
)
def test_what_openssl_refuses_does_not_shake_hands(
    side: Side, version: ssl.TLSVersion, issue: Issue
) -> None:
    certificate = issue(side.authority, side.stranger)
    with (
        pytest.raises(ssl.SSLCertVerificationError),
        reaching(side.context(), side.server(certificate, version)),
    ):
        pass


@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize(
    ("issue", "reason"),
    [
        (_named("bolide://ward/node/n2"), "other-name"),
        (_named("bolide://ward/balancer/n1"), "other-role"),
        (_named("bolide://ward/ops/n1"), "other-role"),
        (_named("bolide://other/node/n1"), "other-cluster"),
        (_named("https://example.org"), "no-identity"),
        (_named(None), "no-identity"),
    ],
)
def test_a_node_that_is_another_is_refused(
    side: Side, version: ssl.TLSVersion, issue: Issue, reason: str
) -> None:
    server = side.server(issue(side.authority, side.stranger), version)
    context = side.context()
    with reaching(context, server) as (connection, _):
        with pytest.raises(Untrusted) as raised:
            context.prove(connection, "n1")
        context.remember("n1", connection)
    assert raised.value.reason == reason
    assert str(raised.value) == f"The node's certificate is refused: {reason}."


@pytest.mark.parametrize("version", _VERSIONS)
def test_a_node_that_is_denied_is_refused(side: Side, version: ssl.TLSVersion) -> None:
    certificate = side.authority.issue(_N1)
    context = side.context(denied=frozenset({certificate.fingerprint}))
    with (
        reaching(context, side.server(certificate, version)) as (connection, _),
        pytest.raises(Untrusted, match="denied"),
    ):
        context.prove(connection, "n1")


@pytest.mark.parametrize("version", _VERSIONS)
def test_the_node_is_reached_and_its_session_resumed(side: Side, version: ssl.TLSVersion) -> None:
    context, server = side.context(), side.server(side.authority.issue(_N1), version)
    assert [_reach(context, server) for _ in range(4)] == [False, True, True, True]


@pytest.mark.parametrize("version", _VERSIONS)
def test_a_resumed_session_ends_with_its_certificate(side: Side, version: ssl.TLSVersion) -> None:
    context = side.context()
    server = side.server(side.authority.issue(_N1, ends=_NOW + timedelta(minutes=10)), version)
    begun = side.now
    try:
        assert [_reach(context, server) for _ in range(2)] == [False, True]
        side.now = (_NOW + timedelta(minutes=10)).timestamp()
        with reaching(context, server) as (connection, _):
            assert not connection.session_reused
            with pytest.raises(Untrusted, match="ended"):
                context.prove(connection, "n1")
    finally:
        side.now = begun


@pytest.mark.parametrize("version", _VERSIONS)
def test_hands_are_shaken_in_full_now_and_then(side: Side, version: ssl.TLSVersion) -> None:
    context, server = side.context(), side.server(side.authority.issue(_N1), version)
    begun = side.now
    try:
        resumed = list[bool]()
        for _ in range(5):
            resumed.append(_reach(context, server))
            side.now += MAX_RESUMED_S / 2
        assert resumed == [False, True, False, True, False]
        side.now = begun - 1  # the clock was set back: nobody knows how old a session is
        assert not _reach(context, server)
    finally:
        side.now = begun


def test_the_session_of_a_node_is_not_used_for_another(side: Side) -> None:
    context, server = side.context(), side.server(side.authority.issue(_N1))
    assert not _reach(context, server, "n1")
    with reaching(context, server, "n2") as (connection, _):
        assert not connection.session_reused
        with pytest.raises(Untrusted, match="other-name"):
            context.prove(connection, "n2")
    assert _reach(context, server, "n1")


def test_a_session_is_used_for_the_host_name_that_it_was_made_for(side: Side) -> None:
    certificate = side.authority.issue(None, addresses=["one.example.org", "two.example.org"])
    context, server = side.context(verify="name"), side.server(certificate)
    resumed = list[bool]()
    for server_name in ("one.example.org", "one.example.org", "two.example.org"):
        with reaching(context, server, "n1", server_name) as (connection, node):
            context.prove(connection, "n1")
            hand_over(node, connection)
            context.remember("n1", connection)
            resumed.append(bool(connection.session_reused))
    assert resumed == [False, True, False]


def test_a_node_with_a_new_certificate_is_proved_anew(side: Side) -> None:
    context = side.context()
    assert not _reach(context, side.server(side.authority.issue(_N1)))
    # Another process with another certificate cannot read the session, so hands are shaken.
    assert not _reach(context, side.server(side.authority.issue(_N1)))
    with (
        reaching(context, side.server(side.authority.issue("bolide://ward/node/n2"))) as (other, _),
        pytest.raises(Untrusted, match="other-name"),
    ):
        context.prove(other, "n1")


def test_nothing_is_remembered_of_a_connection_that_was_not_proved(side: Side) -> None:
    context, server = side.context(), side.server(side.authority.issue(_N1))
    with reaching(context, server) as (connection, node):
        hand_over(node, connection)
        context.remember("n1", connection)
    assert not _reach(context, server)
    impostor = side.server(side.authority.issue("bolide://ward/node/n2"))
    with reaching(context, impostor) as (connection, node):
        hand_over(node, connection)
        context.remember("n1", connection)
    assert _reach(context, server)


def test_before_data_came_there_is_no_session_of_tls_1_3(side: Side) -> None:
    context = side.context()
    server = side.server(side.authority.issue(_N1), ssl.TLSVersion.TLSv1_3)
    with reaching(context, server) as (connection, _):
        context.prove(connection, "n1")
        context.remember("n1", connection)
    assert not _reach(context, server)


def test_as_many_nodes_are_remembered_as_there_is_room_for(
    side: Side, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(node_context, "MAX_REMEMBERED", 2)
    context = side.context()
    servers = {
        name: side.server(side.authority.issue(f"bolide://ward/node/{name}"))
        for name in ("n1", "n2", "n3")
    }
    for name, server in servers.items():
        assert not _reach(context, server, name)
    assert _reach(context, servers["n3"], "n3")
    assert _reach(context, servers["n2"], "n2")
    assert not _reach(context, servers["n1"], "n1")


def test_another_applications_node_is_known_by_its_host_name(side: Side) -> None:
    certificate = side.authority.issue(None, addresses=["one.example.org"], purposes=[SERVER])
    context = side.context(verify="name", chain="", key="")
    server = side.server(certificate)
    server.verify_mode = ssl.CERT_NONE
    with reaching(context, server, "n1", "one.example.org") as (connection, _):
        context.prove(connection, "n1")
    with (
        pytest.raises(ssl.SSLCertVerificationError),
        reaching(context, server, "n1", "two.example.org"),
    ):
        pass


def test_without_tls_a_connection_stays_as_it_is(side: Side) -> None:
    context = NodeContext(NodeTLS(verify="off"), "ward")
    assert context.context is None
    with connected() as (raw, _):
        assert context.wrap(raw, "n1", "") is raw
        context.prove(raw, "n1")
        context.remember("n1", raw)


def test_a_node_gets_tls_1_2_at_least_with_aes_gcm(side: Side) -> None:
    for version in _VERSIONS:
        with reaching(side.context(), side.server(side.authority.issue(_N1), version)) as (ours, _):
            assert "GCM" in (ours.cipher() or ("",))[0]
    context = side.context().context
    assert context is not None
    assert context.minimum_version is ssl.TLSVersion.TLSv1_2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"ca": ""}, "nodes.tls.ca is not set"),
        ({"chain": ""}, "nodes.tls.chain is not set"),
        ({"ca": "nothing.pem"}, "No such file"),
        ({"chain": "nothing.pem"}, "nodes.tls.chain"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    side: Side, changes: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigurationError, match=told):
        side.context(**changes)


def test_a_file_that_is_no_certificate_is_named(side: Side, tmp_path: Path) -> None:
    rubbish = tmp_path / "rubbish.pem"
    rubbish.write_text("rubbish")
    with pytest.raises(ConfigurationError, match=r"nodes\.tls\.ca"):
        side.context(ca=str(rubbish))
    with pytest.raises(ConfigurationError, match=r"nodes\.tls\.chain"):
        side.context(key=str(rubbish))


def test_a_key_with_a_passphrase_is_refused(side: Side, tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.serialization import (
        BestAvailableEncryption,
        Encoding,
        PrivateFormat,
        load_pem_private_key,
    )

    key = load_pem_private_key(Path(side.own.key).read_bytes(), None)
    sealed = tmp_path / "sealed.key"
    sealed.write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret"))
    )
    with pytest.raises(ConfigurationError, match="without a passphrase"):
        side.context(key=str(sealed))


def test_without_an_authority_of_its_own_host_names_are_the_systems_matter(side: Side) -> None:
    context = side.context(verify="name", ca="", chain="", key="").context
    assert context is not None
    assert context.check_hostname
