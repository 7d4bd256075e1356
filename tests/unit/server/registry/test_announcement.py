import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeAlias

import msgspec
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from tests.cluster_certificates import CLIENT, Certificate, CertificateAuthority

from bolide.core.errors import ConfigurationError
from bolide.core.identity import Identity
from bolide.server.registry.announcement import (
    MAX_PAYLOAD_BYTES,
    Announcement,
    BadAnnouncement,
    signed_document,
    verify,
)
from bolide.server.registry.signer import Signer

_NOW = datetime.now(UTC)
_N1 = "bolide://ward/node/n1"
_SAID = Announcement(
    cluster="ward",
    node="n1",
    address="10.0.0.11:3000",
    management="10.0.0.11:9300",
    weight=1.0,
    boot=1,
    seq=1,
    exp=2,
)

Document: TypeAlias = dict[str, Any]


@dataclass(frozen=True)
class Authorities:
    """One that is believed, and a stranger."""

    own: CertificateAuthority
    stranger: CertificateAuthority

    @property
    def believed(self) -> list[x509.Certificate]:
        return x509.load_pem_x509_certificates(Path(self.own.pem).read_bytes())


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    folder = tmp_path_factory.mktemp("certificates")
    return Authorities(CertificateAuthority(folder), CertificateAuthority(folder, "stranger"))


def _key(certificate: Certificate) -> ec.EllipticCurvePrivateKey:
    key = load_pem_private_key(Path(certificate.key).read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    return key


def _document(certificate: Certificate, said: Announcement = _SAID) -> Document:
    pem = Path(certificate.chain).read_bytes()
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    return signed_document(said, _key(certificate), der)


def _reason(authorities: Authorities, document: Document, denied: str = "") -> str:
    try:
        verify(
            document,
            cluster="ward",
            authorities=authorities.believed,
            denied=frozenset({denied}),
            now=_NOW,
        )
    except BadAnnouncement as error:
        return error.reason
    return ""


def test_what_a_node_signed_is_read_as_it_was_said(authorities: Authorities) -> None:
    ends = (_NOW + timedelta(hours=1)).replace(microsecond=0)
    document = _document(authorities.own.issue(_N1, ends=ends))
    found = verify(
        document, cluster="ward", authorities=authorities.believed, denied=frozenset(), now=_NOW
    )
    assert (found.announcement, found.ends) == (_SAID, ends)


_WRONG: dict[str, tuple[Callable[[Authorities], Certificate], str]] = {
    "expired": (
        lambda a: a.own.issue(_N1, begins=_NOW - timedelta(2), ends=_NOW - timedelta(1)),
        "ended",
    ),
    "not yet valid": (
        lambda a: a.own.issue(_N1, begins=_NOW + timedelta(1), ends=_NOW + timedelta(2)),
        "ended",
    ),
    "self-signed": (lambda a: a.own.issue(_N1, is_self_signed=True), "other-authority"),
    "of another authority": (lambda a: a.stranger.issue(_N1), "other-authority"),
    "with another name": (lambda a: a.own.issue("bolide://ward/node/n2"), "other-name"),
    "a balancer's": (lambda a: a.own.issue("bolide://ward/balancer/n1"), "other-purpose"),
    "for clients": (lambda a: a.own.issue(_N1, purposes=[CLIENT]), "other-purpose"),
    "of another cluster": (lambda a: a.own.issue("bolide://other/node/n1"), "other-name"),
    "without a name": (lambda a: a.own.issue(None), "other-purpose"),
    "with a foreign name": (lambda a: a.own.issue("https://example.org"), "other-name"),
}


@pytest.mark.parametrize("what", _WRONG)
def test_what_a_wrong_certificate_signed_is_not_believed(
    authorities: Authorities, what: str
) -> None:
    issue, reason = _WRONG[what]
    assert _reason(authorities, _document(issue(authorities))) == reason


def test_what_a_denied_node_signed_is_not_believed(authorities: Authorities) -> None:
    certificate = authorities.own.issue(_N1)
    assert _reason(authorities, _document(certificate), certificate.fingerprint) == "denied"


def _changed(document: Document, **said: object) -> Document:
    payload = msgspec.json.decode(document["payload"]) | said
    return {**document, "payload": msgspec.json.encode(payload)}


_CHANGES: dict[str, tuple[Callable[[Document], Document], str]] = {
    "another address": (lambda d: _changed(d, address="10.9.9.9:3000"), "signature"),
    "a later end": (lambda d: _changed(d, exp=99), "signature"),
    "another name": (lambda d: _changed(d, node="n2"), "other-name"),
    "another cluster": (lambda d: _changed(d, cluster="other"), "other-name"),
    "another place": (lambda d: {**d, "_id": "ward/n2"}, "other-name"),
    "another signature": (lambda d: {**d, "signature": os.urandom(70)}, "signature"),
    "no signature": (lambda d: {**d, "signature": b""}, "signature"),
    "a text for a signature": (lambda d: {**d, "signature": "x"}, "malformed"),
    "no payload": (lambda d: {k: v for k, v in d.items() if k != "payload"}, "malformed"),
    "rubbish": (lambda d: {**d, "payload": b"rubbish"}, "malformed"),
    "less said": (lambda d: {**d, "payload": b"{}"}, "malformed"),
    "a rubbish certificate": (lambda d: {**d, "certificate": b"rubbish"}, "malformed"),
    "much said": (lambda d: {**d, "payload": bytes(MAX_PAYLOAD_BYTES + 1)}, "malformed"),
    "a huge certificate": (lambda d: {**d, "certificate": bytes(100_000)}, "malformed"),
}


@pytest.mark.parametrize("what", _CHANGES)
def test_a_document_that_was_changed_is_not_believed(authorities: Authorities, what: str) -> None:
    change, reason = _CHANGES[what]
    document = _document(authorities.own.issue(_N1))
    assert _reason(authorities, document) == ""
    assert _reason(authorities, change(document)) == reason


def test_something_else_that_a_node_signed_is_no_announcement(authorities: Authorities) -> None:
    from cryptography.hazmat.primitives.hashes import SHA256

    certificate = authorities.own.issue(_N1)
    document = _document(certificate)
    other = _key(certificate).sign(document["payload"], ec.ECDSA(SHA256()))
    assert _reason(authorities, {**document, "signature": other}) == "signature"


def test_a_node_signs_with_what_it_serves_with(authorities: Authorities) -> None:
    certificate = authorities.own.issue(_N1)
    signer = Signer.read(certificate.chain, certificate.key)
    assert signer.identity == Identity("ward", "node", "n1")
    document = signed_document(_SAID, signer.key, signer.certificate)
    assert _reason(authorities, document) == ""


def test_who_is_no_node_does_not_announce_itself(authorities: Authorities, tmp_path: Path) -> None:
    for uri in ("bolide://ward/balancer/b1", "https://example.org", None):
        certificate = authorities.own.issue(uri)
        with pytest.raises(ConfigurationError, match=r"^tls_cert .*--role node"):
            Signer.read(certificate.chain, certificate.key)
    certificate = authorities.own.issue(_N1)
    with pytest.raises(ConfigurationError, match=r"^tls_cert "):
        Signer.read(certificate.key, certificate.key)
    other = tmp_path / "rsa.key"
    key = rsa.generate_private_key(65_537, 2048)
    other.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    with pytest.raises(ConfigurationError, match=r"^tls_key .*P-256"):
        Signer.read(certificate.chain, str(other))
