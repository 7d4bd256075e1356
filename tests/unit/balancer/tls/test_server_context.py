import ssl
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.cluster_certificates import Certificate, CertificateAuthority
from tests.handshakes import connected, hand_over, shake_hands

from bolide.balancer.tls.server_context import ServerContext
from bolide.balancer.worker.messages import ServerCertificate
from bolide.core.errors import ConfigurationError

_NOW = datetime.now(UTC)
_VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("certificates"))


@dataclass(frozen=True)
class Seen:
    """What a browser sees."""

    certificate: bytes
    is_resumed: bool
    protocol: str | None
    cipher: str


class Browser:
    """A client that keeps its session."""

    def __init__(
        self, authority: CertificateAuthority, version: ssl.TLSVersion | None = None
    ) -> None:
        self.context = authority.client(version=version)
        self.context.set_alpn_protocols(["h2", "http/1.1"])
        self._session: ssl.SSLSession | None = None

    def look(self, server: ServerContext, host: str | None = None) -> Seen:
        with ExitStack() as stack:
            raw, theirs = stack.enter_context(connected())
            client = self.context.wrap_socket(
                raw, do_handshake_on_connect=False, server_hostname=host, session=self._session
            )
            stack.callback(client.close)
            side = server.context.wrap_socket(
                theirs, server_side=True, do_handshake_on_connect=False
            )
            stack.callback(side.close)
            shake_hands(client, side)
            hand_over(side, client)
            self._session = client.session
            return Seen(
                client.getpeercert(binary_form=True) or b"",
                bool(client.session_reused),
                client.selected_alpn_protocol(),
                (client.cipher() or ("",))[0],
            )


def _files(certificate: Certificate) -> ServerCertificate:
    return ServerCertificate(certificate.chain, certificate.key)


def _der(certificate: Certificate) -> bytes:
    return ssl.PEM_cert_to_DER_cert(Path(certificate.chain).read_text())


@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        (None, 0),
        ("ward.example.org", 0),
        ("unknown.example.com", 0),
        ("lab.example.org", 1),
        ("LAB.example.org", 1),
        ("www.lab.example.org", 1),
        ("any.example.org", 2),
        ("two.labels.example.org", 0),
        ("example.org", 0),
    ],
)
def test_a_browser_gets_the_certificate_of_the_host_it_names(
    authority: CertificateAuthority, version: ssl.TLSVersion, host: str | None, wanted: int
) -> None:
    certificates = [
        authority.issue(None, addresses=["ward.example.org"]),
        authority.issue(None, addresses=["Lab.example.org", "www.lab.example.org"]),
        authority.issue(None, addresses=["*.example.org"]),
    ]
    server = ServerContext([_files(certificate) for certificate in certificates])
    seen = Browser(authority, version).look(server, host)
    assert seen.certificate == _der(certificates[wanted])
    assert seen.protocol == "http/1.1"
    assert "AES" in seen.cipher
    assert "GCM" in seen.cipher


@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize("host", ["ward.example.org", "lab.example.org"])
def test_a_session_is_resumed_also_after_the_certificates_were_read_anew(
    authority: CertificateAuthority, version: ssl.TLSVersion, host: str
) -> None:
    certificates = [
        _files(authority.issue(None, addresses=[name]))
        for name in ("ward.example.org", "lab.example.org")
    ]
    server, browser = ServerContext(certificates), Browser(authority, version)
    assert [browser.look(server, host).is_resumed for _ in range(3)] == [False, True, True]
    server.read([
        _files(authority.issue(None, addresses=[name]))
        for name in ("ward.example.org", "lab.example.org")
    ])  # fmt: skip
    assert [browser.look(server, host).is_resumed for _ in range(2)] == [True, True]


@pytest.mark.parametrize("version", _VERSIONS)
def test_another_worker_shakes_hands_in_full(
    authority: CertificateAuthority, version: ssl.TLSVersion
) -> None:
    certificates = [_files(authority.issue(None, addresses=["ward.example.org"]))]
    browser = Browser(authority, version)
    workers = [ServerContext(certificates) for _ in range(2)]
    resumed = [
        browser.look(worker, "ward.example.org").is_resumed for worker in (*workers, *workers)
    ]
    assert resumed == [False, False, False, False]


def test_certificates_that_were_read_anew_are_for_new_connections(
    authority: CertificateAuthority,
) -> None:
    old, new = (authority.issue(None, addresses=["ward.example.org"]) for _ in range(2))
    server = ServerContext([_files(old)])
    context = server.context
    assert Browser(authority).look(server, "ward.example.org").certificate == _der(old)
    server.read([_files(new)])
    assert server.context is context
    for host in ("ward.example.org", None):
        assert Browser(authority).look(server, host).certificate == _der(new)


def test_what_cannot_be_read_changes_nothing(
    authority: CertificateAuthority, tmp_path: Path
) -> None:
    good = authority.issue(None, addresses=["ward.example.org"])
    server = ServerContext([_files(good)])
    with pytest.raises(ConfigurationError):
        server.read([_files(authority.issue(None)), ServerCertificate("nothing.pem", "nothing")])
    with pytest.raises(ConfigurationError, match="given once at least"):
        server.read([])
    assert Browser(authority).look(server).certificate == _der(good)


def test_tls_1_1_is_refused(authority: CertificateAuthority) -> None:
    server = ServerContext([_files(authority.issue(None))])
    assert server.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert server.context.options & ssl.OP_NO_RENEGOTIATION


@pytest.mark.parametrize(
    ("chain", "key", "told"),
    [
        ("nothing.pem", "", r"certificate\.chain .*No such file"),
        ("rubbish", "", r"certificate\.chain .*with a certificate"),
        ("", "nothing.pem", r"certificate\.key .*No such file"),
        ("", "rubbish", r"certificate\.key .*of the certificate in"),
        ("", "others", r"certificate\.key .*of the certificate in"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    authority: CertificateAuthority, tmp_path: Path, chain: str, key: str, told: str
) -> None:
    good, other = authority.issue(None), authority.issue(None)
    (tmp_path / "rubbish").write_text("rubbish")
    (tmp_path / "others").write_bytes(Path(other.key).read_bytes())
    files = ServerCertificate(
        str(tmp_path / chain) if chain else good.chain, str(tmp_path / key) if key else good.key
    )
    with pytest.raises(ConfigurationError, match=told):
        ServerContext([files])


def test_what_ends_soon_is_warned_of(authority: CertificateAuthority) -> None:
    now = _NOW.timestamp()
    certificates = [
        _files(
            authority.issue(None, addresses=["ward.example.org"], ends=_NOW + timedelta(days=13))
        ),
        _files(
            authority.issue(None, addresses=["lab.example.org"], ends=_NOW + timedelta(days=29))
        ),
    ]
    server = ServerContext(certificates, wall_s=lambda: now)
    assert server.warnings() == ["The certificate for ward.example.org ends in 12 days."]
    now += 13.5 * 86_400
    assert server.warnings() == [
        "The certificate for ward.example.org has ended; browsers refuse it."
    ]
    now -= 40 * 86_400
    assert all("not valid yet" in line for line in server.warnings())
    now += 55 * 86_400
    assert server.warnings()[1] == "The certificate for lab.example.org ends in 0 days."


def test_a_certificate_without_names_is_warned_of_by_its_file(
    authority: CertificateAuthority,
) -> None:
    certificate = authority.issue(None)
    server = ServerContext([_files(certificate)])
    assert server.warnings() == [f"The certificate for {certificate.chain} ends in 0 days."]
