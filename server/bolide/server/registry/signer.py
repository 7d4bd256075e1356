"""The key and the certificate with which a node signs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_private_key

from bolide.core.errors import ConfigurationError
from bolide.core.identity import BadIdentity, Identity, identity_of

__all__ = ["Signer"]


@dataclass(frozen=True, slots=True)
class Signer:
    """A node that can prove who it is.

    Attributes:
        identity: Who.
        key: Of the certificate.
        certificate: DER.
    """

    identity: Identity
    key: ec.EllipticCurvePrivateKey
    certificate: bytes

    @classmethod
    def read(cls, cert: str, key: str) -> Self:
        """Read the files of a node's TLS, which were looked at before.

        Args:
            cert: PEM file, the node's certificate first.
            key: PEM file.

        Raises:
            ConfigurationError: If they are not those of a node of a cluster.
        """
        try:
            certificate = x509.load_pem_x509_certificate(Path(cert).read_bytes())
            private = load_pem_private_key(Path(key).read_bytes(), None)
        except (OSError, ValueError, TypeError):
            expected = "a certificate whose key can sign, as `bolide ca` makes them"
            raise ConfigurationError("tls_cert", cert, expected) from None
        if not isinstance(private, ec.EllipticCurvePrivateKey):
            expected = "a key on P-256 or P-384, as `bolide ca request` makes it, to announce with"
            raise ConfigurationError("tls_key", key, expected)
        return cls(_node(certificate, cert), private, certificate.public_bytes(Encoding.DER))


def _node(certificate: x509.Certificate, cert: str) -> Identity:
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
        identity = identity_of([("URI", uri) for uri in uris])
    except (x509.ExtensionNotFound, BadIdentity):
        identity = None
    if identity is None or identity.role != "node":
        expected = "the certificate of a node, to announce it: `bolide ca request --role node`"
        raise ConfigurationError("tls_cert", cert, expected)
    return identity
