"""Make the certificates of a cluster, of keys that are at hand."""

from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bolide.core.identity import Role
from bolide.ops.certificates.request import Request, alternative_names, hash_for, subject_of

__all__ = ["SKEW", "certificate_for", "own_certificate", "usage"]

SKEW: Final = timedelta(minutes=5)
"""How far the clock of a node may be behind the authority's."""
_PURPOSE: Final[dict[Role, x509.ObjectIdentifier]] = {
    "node": ExtendedKeyUsageOID.SERVER_AUTH,
    "balancer": ExtendedKeyUsageOID.CLIENT_AUTH,
    "ops": ExtendedKeyUsageOID.CLIENT_AUTH,
}


def own_certificate(
    key: ec.EllipticCurvePrivateKey, cluster: str, now: datetime, days: int
) -> x509.Certificate:
    """Return the certificate of an authority, signed by itself.

    Args:
        key: Of the authority.
        cluster: Name of the cluster.
        now: UTC.
        days: How long it lasts.
    """
    # The date tells two authorities of a cluster apart, for people and for OpenSSL.
    name = x509.Name([
        x509.NameAttribute(NameOID.ORGANIZATION_NAME, cluster),
        x509.NameAttribute(NameOID.COMMON_NAME, f"Bolide authority {now:%Y-%m-%d %H:%M:%S}"),
    ])  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hash_for(key.curve))
    )


def certificate_for(
    request: Request,
    signer: x509.Certificate,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    ends: datetime,
) -> x509.Certificate:
    """Return the certificate of a node, a balancer or an operator.

    Args:
        request: Who it is for.
        signer: Certificate of the authority.
        key: Of the authority.
        now: UTC.
        ends: When it ends, UTC.
    """
    signer_id = signer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    own_id = x509.SubjectKeyIdentifier.from_public_key(request.key)
    authority_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer_id)
    return (
        x509.CertificateBuilder()
        .subject_name(subject_of(request.identity))
        .issuer_name(signer.subject)
        .public_key(request.key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - SKEW)
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([_PURPOSE[request.identity.role]]), critical=False)
        .add_extension(alternative_names(request.identity, request.addresses), critical=False)
        .add_extension(own_id, critical=False)
        .add_extension(authority_id, critical=False)
        .sign(key, hash_for(key.curve))
    )


def usage(*, signs_certificates: bool) -> x509.KeyUsage:
    """Return what a key may be used for.

    Args:
        signs_certificates: It is an authority's.
    """
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
