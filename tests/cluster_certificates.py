"""Certificates of a cluster, right ones and wrong ones, written without the code under test."""

import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

__all__ = ["CLIENT", "SERVER", "Certificate", "CertificateAuthority"]

SERVER: Final = ExtendedKeyUsageOID.SERVER_AUTH
CLIENT: Final = ExtendedKeyUsageOID.CLIENT_AUTH
_DAY: Final = timedelta(days=1)


@dataclass(frozen=True)
class Certificate:
    """One that somebody has, with its key."""

    chain: str
    key: str
    fingerprint: str


class CertificateAuthority:
    """Signs whatever it is told to.

    Args:
        folder: Where the files go.
        name: Of the authority; those of two with the same name differ in their keys all the same.
    """

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._issued = 0
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _common_name(name)
        now = datetime.now(UTC)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 30 * _DAY)
            .not_valid_after(now + 30 * _DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .sign(self._key, SHA256())
        )
        self.pem = str(folder / f"{name}.pem")
        Path(self.pem).write_bytes(certificate.public_bytes(Encoding.PEM))

    def issue(
        self,
        uri: str | None,
        *,
        begins: datetime | None = None,
        ends: datetime | None = None,
        purposes: Sequence[x509.ObjectIdentifier] = (SERVER, CLIENT),
        addresses: Sequence[str] = (),
        is_self_signed: bool = False,
    ) -> Certificate:
        """Write a certificate and its key.

        Args:
            uri: Identity; None for none.
            begins: A day ago if None.
            ends: In a day if None.
            purposes: What it is for; both by default, so that only its role decides.
            addresses: Host names and IP addresses.
            is_self_signed: Whether the authority has nothing to do with it.
        """
        self._issued += 1
        now = datetime.now(UTC)
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _common_name(f"certificate {self._issued}")
        names: list[x509.GeneralName] = []
        if uri is not None:
            names.append(x509.UniformResourceIdentifier(uri))
        names += [_general_name(address) for address in addresses]
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if is_self_signed else self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(begins or now - _DAY)
            .not_valid_after(ends or now + _DAY)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        certificate = builder.sign(key if is_self_signed else self._key, SHA256())
        chain, key_file = (
            self._folder / f"{Path(self.pem).stem}{self._issued}.{kind}" for kind in ("pem", "key")
        )
        chain.write_bytes(certificate.public_bytes(Encoding.PEM))
        key_file.touch(0o600)
        key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return Certificate(str(chain), str(key_file), certificate.fingerprint(SHA256()).hex())

    def client(
        self, certificate: Certificate | None = None, *, version: ssl.TLSVersion | None = None
    ) -> ssl.SSLContext:
        """Return a client's side that believes this authority, whatever the name of a server."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        return self._context(context, certificate, version)

    def server(
        self, certificate: Certificate, *, version: ssl.TLSVersion | None = None
    ) -> ssl.SSLContext:
        """Return a server's side that asks for a certificate of this authority."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.verify_mode = ssl.CERT_REQUIRED
        return self._context(context, certificate, version)

    def _context(
        self,
        context: ssl.SSLContext,
        certificate: Certificate | None,
        version: ssl.TLSVersion | None,
    ) -> ssl.SSLContext:
        context.load_verify_locations(self.pem)
        if certificate is not None:
            context.load_cert_chain(certificate.chain, certificate.key)
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general_name(address: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(address))
    except ValueError:
        return x509.DNSName(address)
