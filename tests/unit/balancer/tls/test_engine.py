import ssl
from pathlib import Path

import pytest
from tests.cluster_certificates import CertificateAuthority
from tests.handshakes import connected

from bolide.balancer.tls.engine import Engine, client_engine, server_engine

_HOST = "ward.example.org"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("certificates"))


class Side:
    """Whose engine it is; a context may hand the connection on to another one."""

    context: ssl.SSLContext | None = None


def shake_hands(*engines: Engine) -> None:
    """Bring a handshake to its end on both sides."""
    left = list(engines)
    for _ in range(20):
        for engine in tuple(left):
            try:
                engine.do_handshake()
            except ssl.SSLWantReadError:
                continue
            left.remove(engine)
        if not left:
            return
    raise AssertionError("no handshake came about")


def _server(authority: CertificateAuthority, host: str = _HOST) -> ssl.SSLContext:
    context = authority.server(authority.issue(None, addresses=[host]))
    context.verify_mode = ssl.CERT_NONE
    return context


def _checking(authority: CertificateAuthority) -> ssl.SSLContext:
    context = authority.client()
    context.check_hostname = True
    return context


def test_two_sides_shake_hands_and_hand_over_a_record(authority: CertificateAuthority) -> None:
    server = _server(authority)
    with connected() as (ours, theirs):
        client = client_engine(_checking(authority), ours, _HOST, None)
        side = server_engine(server, theirs, None)
        shake_hands(client, side)
        buffer = bytearray(65_536)
        assert side.write(b"data") == 4
        assert client.read(len(buffer), buffer) == 4
        assert buffer.startswith(b"data")
        assert client.server_hostname == _HOST
        assert not client.session_reused


def test_the_certificate_must_name_the_host(authority: CertificateAuthority) -> None:
    server = _server(authority, "lab.example.org")
    with connected() as (ours, theirs):
        client = client_engine(_checking(authority), ours, _HOST, None)
        with pytest.raises(ssl.SSLCertVerificationError):
            shake_hands(client, server_engine(server, theirs, None))


def test_no_name_is_no_way_around_its_check(authority: CertificateAuthority) -> None:
    with connected() as (ours, _), pytest.raises(ValueError, match="name"):
        client_engine(_checking(authority), ours, None, None)


def test_a_session_is_taken_up(authority: CertificateAuthority) -> None:
    server = _server(authority)
    context = _checking(authority)
    session: ssl.SSLSession | None = None
    reused: list[bool] = []
    for _ in range(2):
        with connected() as (ours, theirs):
            client = client_engine(context, ours, _HOST, session)
            side = server_engine(server, theirs, None)
            shake_hands(client, side)
            side.write(b"data")
            client.read(100, bytearray(100))
            session = client.session
            reused.append(client.session_reused)
    assert reused == [False, True]


def test_the_owner_may_set_the_context_by_the_host(authority: CertificateAuthority) -> None:
    second = authority.issue(None, addresses=[_HOST])
    server, other = _server(authority, "lab.example.org"), authority.server(second)
    owner = Side()

    def choose(connection: object, name: str | None, _: ssl.SSLContext) -> None:
        assert connection is owner
        assert name == _HOST
        owner.context = other
        side.context = other

    server.sni_callback = choose
    with connected() as (ours, theirs):
        client = client_engine(_checking(authority), ours, _HOST, None)
        side = server_engine(server, theirs, owner)
        shake_hands(client, side)
        shown = client.getpeercert(True)
    assert owner.context is other
    assert shown == ssl.PEM_cert_to_DER_cert(Path(second.chain).read_text())
