import ssl
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import structlog
from tests.cluster_certificates import Certificate, CertificateAuthority
from tests.handshakes import connected, hand_over, shake_hands

from bolide.core.identity import Identity
from bolide.server.web.tls import admission
from bolide.server.web.tls.admission import Admission, NotAdmitted
from bolide.server.web.tls.denied_file import DeniedFile

_NOW = datetime.now(UTC)
_B1 = "bolide://ward/balancer/b1"
_VERSIONS = [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> CertificateAuthority:
    return CertificateAuthority(tmp_path_factory.mktemp("certificates"))


class Node:
    """A node's side, and clients that come to it."""

    def __init__(
        self, authority: CertificateAuthority, version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3
    ) -> None:
        own = authority.issue("bolide://ward/node/n1")
        self.authority = authority
        self.context = authority.server(own, version=version)
        self._clients: dict[Certificate, ssl.SSLContext] = {}

    @contextmanager
    def reached_by(
        self, certificate: Certificate, session: ssl.SSLSession | None = None
    ) -> Generator[tuple[ssl.SSLSocket, ssl.SSLSocket]]:
        """Give both ends after a handshake, the client's first."""
        client = self._clients.setdefault(certificate, self.authority.client(certificate))
        with ExitStack() as stack:
            raw, theirs = stack.enter_context(connected())
            ours = client.wrap_socket(raw, do_handshake_on_connect=False, session=session)
            stack.callback(ours.close)
            side = self.context.wrap_socket(theirs, server_side=True, do_handshake_on_connect=False)
            stack.callback(side.close)
            shake_hands(ours, side)
            hand_over(side, ours)
            yield ours, side

    def reason(self, admit: Admission, certificate: Certificate) -> str:
        """Return why a client is not let in; empty if it is."""
        with self.reached_by(certificate) as (_, side):
            try:
                admit(side)
            except NotAdmitted as error:
                return str(error)
        return ""


def _admission(now: datetime = _NOW, denied: DeniedFile | None = None) -> Admission:
    return Admission("ward", frozenset({"balancer"}), denied, wall_s=now.timestamp)


@pytest.mark.parametrize("version", _VERSIONS)
@pytest.mark.parametrize(
    ("uri", "reason"),
    [
        (_B1, ""),
        ("bolide://ward/balancer/b2", ""),
        ("bolide://ward/node/n1", "other-role"),
        ("bolide://ward/ops/ada", "other-role"),
        ("bolide://other/balancer/b1", "other-cluster"),
        ("https://example.org", "no-identity"),
        (None, "no-identity"),
    ],
)
def test_only_its_role_lets_somebody_in(
    authority: CertificateAuthority, version: ssl.TLSVersion, uri: str | None, reason: str
) -> None:
    assert Node(authority, version).reason(_admission(), authority.issue(uri)) == reason


def test_whoever_is_let_in_is_known_by_name(authority: CertificateAuthority) -> None:
    admit = Admission("ward", frozenset({"balancer", "ops"}))
    for uri, identity in (
        (_B1, Identity("ward", "balancer", "b1")),
        ("bolide://ward/ops/ada", Identity("ward", "ops", "ada")),
    ):
        with Node(authority).reached_by(authority.issue(uri)) as (_, side):
            assert admit(side) == identity
            assert admit(side) == identity


def test_whoever_shows_nothing_is_not_let_in(authority: CertificateAuthority) -> None:
    node = Node(authority)
    node.context.verify_mode = ssl.CERT_OPTIONAL
    with ExitStack() as stack:
        raw, theirs = stack.enter_context(connected())
        ours = authority.client().wrap_socket(raw, do_handshake_on_connect=False)
        stack.callback(ours.close)
        side = node.context.wrap_socket(theirs, server_side=True, do_handshake_on_connect=False)
        stack.callback(side.close)
        shake_hands(ours, side)
        with pytest.raises(NotAdmitted, match="no-certificate"):
            _admission()(side)


@pytest.mark.parametrize("version", _VERSIONS)
def test_a_resumed_session_ends_with_its_certificate_or_its_denial(
    authority: CertificateAuthority, version: ssl.TLSVersion, tmp_path: Path
) -> None:
    certificate = authority.issue(_B1, ends=_NOW + timedelta(hours=1))
    node = Node(authority, version)
    list_ = tmp_path / "denied.txt"
    list_.write_text("")
    denied = DeniedFile(str(list_))
    admit = _admission(denied=denied)
    with node.reached_by(certificate) as (client, side):
        admit(side)
        session = client.session
    with node.reached_by(certificate, session) as (client, side):
        assert client.session_reused
        admit(side)
        later = _NOW + timedelta(hours=1)
        with pytest.raises(NotAdmitted, match="ended"):
            _admission(later)(side)
        list_.write_text(f"{certificate.fingerprint}\n")
        with pytest.raises(NotAdmitted, match="denied"):
            admit(side)


def test_the_log_says_why_now_and_then_and_repeats_nothing(
    authority: CertificateAuthority,
) -> None:
    now = _NOW.timestamp()
    admit = Admission("ward", frozenset({"balancer"}), wall_s=lambda: now)
    node = Node(authority)
    strangers = [authority.issue(uri) for uri in ("bolide://ward/node/marked", None)]
    with structlog.testing.capture_logs() as told:
        for _ in range(3):
            for stranger in strangers:
                node.reason(admit, stranger)
        assert [entry["reason"] for entry in told] == ["other-role", "no-identity"]
        now += 60
        node.reason(admit, strangers[0])
    assert [entry["reason"] for entry in told] == ["other-role", "no-identity", "other-role"]
    assert "marked" not in str(told)


def test_what_is_known_of_certificates_is_bounded(
    authority: CertificateAuthority, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(admission, "_MAX_KNOWN", 2)
    admit, node = _admission(), Node(authority)
    for number in range(5):
        assert node.reason(admit, authority.issue(f"bolide://ward/balancer/b{number}")) == ""
    known = admit._known  # pyright: ignore[reportPrivateUsage]
    assert len(known) <= 2
