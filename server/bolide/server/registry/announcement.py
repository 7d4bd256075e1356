"""What a node says of itself in the store, signed with the key of its certificate.

Whoever can write to the database can write there, too; so a balancer believes what a node's key
has signed, if the cluster's authority has signed for that key, and nothing else. The bytes that
were signed are kept as they are: nobody has to write them again to check them.

A copy of an old announcement is as well signed as a new one. ``boot`` and ``seq`` tell which is
newer to whoever has seen one before; ``exp`` tells whether one is new enough to whoever has not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

# Values of documents have no static type.
from typing import Any, Final, Literal, TypeAlias

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.x509.oid import ExtendedKeyUsageOID

from bolide.core.fingerprints import fingerprint
from bolide.core.identity import BadIdentity, identity_of
from bolide.core.values import Document

__all__ = [
    "MAX_CERTIFICATE_BYTES",
    "MAX_PAYLOAD_BYTES",
    "Announcement",
    "BadAnnouncement",
    "Reason",
    "Verified",
    "signed_document",
    "verify",
]

MAX_PAYLOAD_BYTES: Final = 4_096
MAX_CERTIFICATE_BYTES: Final = 16_384

# What is signed here can be mistaken for nothing else that a node may sign.
_PURPOSE: Final = b"bolide announcement 1\n"

Reason: TypeAlias = Literal[
    "malformed", "denied", "other-authority", "ended", "other-purpose", "other-name", "signature"
]


class BadAnnouncement(Exception):
    """A document that is no announcement of a node of the cluster.

    Attributes:
        reason: A fixed word, for logs.
    """

    def __init__(self, reason: Reason) -> None:
        """Keep why; nothing of the document is repeated."""
        super().__init__(reason)
        self.reason: Reason = reason


class Announcement(msgspec.Struct, frozen=True, kw_only=True):
    """What a node says.

    Attributes:
        cluster: Name in its certificate.
        node: Name in its certificate.
        address: Where clients' connections go, ``host:port``.
        management: Where it tells how it is, ``host:port``; empty for nowhere.
        weight: Share of new sessions beside other nodes.
        boot: When the process began, UTC milliseconds.
        seq: Higher each time in the same process.
        exp: Until when it holds for whoever sees it first, UTC milliseconds; 0: the node is gone.
    """

    cluster: str
    node: str
    address: str
    management: str
    weight: float
    boot: int
    seq: int
    exp: int


@dataclass(frozen=True, slots=True)
class Verified:
    """An announcement that a node has signed.

    Attributes:
        announcement: What it says.
        ends: When its certificate ends, UTC.
    """

    announcement: Announcement
    ends: datetime


_DECODER: Final = msgspec.json.Decoder(Announcement)


def document_id(cluster: str, node: str) -> str:
    """Return the ``_id`` of a node's announcement."""
    return f"{cluster}/{node}"


def signed_document(
    announcement: Announcement, key: ec.EllipticCurvePrivateKey, certificate: bytes
) -> Document:
    """Return what is written into the store.

    Args:
        announcement: What is said.
        key: That of the certificate.
        certificate: DER.
    """
    payload = msgspec.json.encode(announcement)
    return {
        "_id": document_id(announcement.cluster, announcement.node),
        "payload": payload,
        "signature": key.sign(_PURPOSE + payload, ec.ECDSA(SHA256())),
        "certificate": certificate,
        # Unsigned, for forgetting what nobody needs any more.
        "exp": announcement.exp,
    }


def verify(
    document: Mapping[str, Any],
    *,
    cluster: str,
    authorities: Sequence[x509.Certificate],
    denied: frozenset[str],
    now: datetime,
) -> Verified:
    """Read a document of the store.

    Args:
        document: As it was found; of any kind.
        cluster: Whose nodes are looked for.
        authorities: Those that are believed.
        denied: Fingerprints of certificates that are refused.
        now: UTC.

    Raises:
        BadAnnouncement: If no node of the cluster has signed it.
    """
    payload = _bytes(document, "payload", MAX_PAYLOAD_BYTES)
    signature = _bytes(document, "signature", MAX_PAYLOAD_BYTES)
    der = _bytes(document, "certificate", MAX_CERTIFICATE_BYTES)
    if fingerprint(der) in denied:
        raise BadAnnouncement("denied")
    try:
        certificate = x509.load_der_x509_certificate(der)
        announcement = _DECODER.decode(payload)
        key = certificate.public_key()
        extensions = certificate.extensions
    except Exception:  # of a stranger's bytes: the library has more kinds than it tells
        raise BadAnnouncement("malformed") from None
    _check_issued(certificate, authorities, now)
    _check_owner(extensions, cluster, announcement)
    if document.get("_id") != document_id(cluster, announcement.node):
        raise BadAnnouncement("other-name")
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise BadAnnouncement("malformed")
    try:
        key.verify(signature, _PURPOSE + payload, ec.ECDSA(SHA256()))
    except InvalidSignature:
        raise BadAnnouncement("signature") from None
    return Verified(announcement, certificate.not_valid_after_utc)


def _bytes(document: Mapping[str, Any], name: str, most: int) -> bytes:
    value = document.get(name)
    if not isinstance(value, bytes) or len(value) > most:
        raise BadAnnouncement("malformed")
    return value


def _check_issued(
    certificate: x509.Certificate, authorities: Sequence[x509.Certificate], now: datetime
) -> None:
    """Make sure that an authority signed a certificate, and that both hold now."""
    for authority in authorities:
        try:
            certificate.verify_directly_issued_by(authority)
        except (ValueError, TypeError, InvalidSignature):
            continue
        for one in (certificate, authority):
            if not one.not_valid_before_utc <= now.astimezone(UTC) < one.not_valid_after_utc:
                raise BadAnnouncement("ended")
        return
    raise BadAnnouncement("other-authority")


def _check_owner(extensions: x509.Extensions, cluster: str, announcement: Announcement) -> None:
    """Make sure that a certificate is that of the node that speaks."""
    try:
        purposes = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise BadAnnouncement("other-purpose") from None
    if ExtendedKeyUsageOID.SERVER_AUTH not in purposes:
        raise BadAnnouncement("other-purpose")
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    try:
        identity = identity_of([("URI", uri) for uri in uris])
    except BadIdentity:
        raise BadAnnouncement("other-name") from None
    if identity.role != "node":
        raise BadAnnouncement("other-purpose")
    if {identity.cluster, announcement.cluster} != {cluster} or identity.name != announcement.node:
        raise BadAnnouncement("other-name")
