"""Certificates that are made on the spot, for a cluster that lives on one machine.

The authority that signs them lives for the time of a function: its key is never written down, so
nobody can sign a further certificate later.
"""

import ipaddress
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from bolide.core.identity import Identity, Role
from bolide.ops.certificates.own_files import PRIVATE, PUBLIC, replace_file
from bolide.ops.certificates.request import Request, hash_for
from bolide.ops.certificates.signing import SKEW, certificate_for, own_certificate, usage

__all__ = ["DAYS", "LOOPBACK", "BrowserFiles", "Files", "browser_files", "make_cluster_files"]

DAYS: Final = 30
"""How long they last."""
LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
"""Names of this machine that only it can reach."""

_RENEWED_BEFORE: Final = timedelta(days=DAYS / 2)
"""What browsers were told to trust stays for half of its life."""
_CURVE: Final = ec.SECP256R1


@dataclass(frozen=True, slots=True)
class Files:
    """A certificate and its key.

    Attributes:
        chain: PEM file.
        key: PEM file, closed to other users.
    """

    chain: Path
    key: Path


@dataclass(frozen=True, slots=True)
class BrowserFiles:
    """What is shown to browsers.

    Attributes:
        own: Certificate and key.
        authority: PEM file of who signed it: what a browser or a program can be told to trust.
        ends: When it ends.
    """

    own: Files
    authority: Path
    ends: datetime


def make_cluster_files(
    folder: Path, cluster: str, members: Iterable[tuple[Role, str]], now: datetime
) -> tuple[Path, dict[str, Files]]:
    """Make an authority and the certificates that it signs, in the place of those before.

    Args:
        folder: Is emptied first.
        cluster: Name of the cluster.
        members: Role and name of each; nodes are on loopback.
        now: UTC.

    Returns:
        The PEM file of the authority, and the files of each by its name.
    """
    _empty(folder)
    key = ec.generate_private_key(_CURVE())
    authority = own_certificate(key, cluster, now, DAYS)
    bundle = folder / "ca.pem"
    replace_file(bundle, authority.public_bytes(Encoding.PEM), PUBLIC)
    files: dict[str, Files] = {}
    for role, name in members:
        own_key = ec.generate_private_key(_CURVE())
        addresses = LOOPBACK if role == "node" else ()
        request = Request(Identity(cluster, role, name), addresses, own_key.public_key())
        ends = now + timedelta(days=DAYS)
        certificate = certificate_for(request, authority, key, now, ends)
        files[name] = _write(folder, name, certificate, own_key)
    return bundle, files


def browser_files(folder: Path, names: Sequence[str], now: datetime) -> BrowserFiles:
    """Return a certificate for browsers: the one of last time, or a new one if that ends soon.

    Args:
        folder: Where it is kept.
        names: Host names and IP addresses that people type; those of before must be the same.
        now: UTC.
    """
    files = Files(folder / "browsers.pem", folder / "browsers.key")
    authority = folder / "ca.pem"
    with suppress(OSError, ValueError, x509.ExtensionNotFound):
        certificate = x509.load_pem_x509_certificate(files.chain.read_bytes())
        alternative = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        ends = certificate.not_valid_after_utc
        is_whole = files.key.is_file() and authority.is_file()
        if is_whole and alternative.value == _general(names) and ends - now > _RENEWED_BEFORE:
            return BrowserFiles(files, authority, ends)
    _empty(folder)
    _make_browser_files(folder, names, now)
    return BrowserFiles(files, authority, now + timedelta(days=DAYS))


def _make_browser_files(folder: Path, names: Sequence[str], now: datetime) -> None:
    ends = now + timedelta(days=DAYS)
    key, own_key = ec.generate_private_key(_CURVE()), ec.generate_private_key(_CURVE())
    # Whoever trusts it trusts it for these names and no others.
    constraints = x509.NameConstraints(_constrained(names), None)
    issuer = _common_name(f"Bolide, for {names[0]} on one machine, {now:%Y-%m-%d %H:%M:%S}")
    authority = (
        _builder(issuer, issuer, key, now, ends)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage(signs_certificates=True), critical=True)
        .add_extension(constraints, critical=True)
        .sign(key, hash_for(key.curve))
    )
    certificate = (
        _builder(_common_name(names[0]), issuer, own_key, now, ends)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(_general(names), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key()), critical=False
        )
        .sign(key, hash_for(key.curve))
    )
    replace_file(folder / "ca.pem", authority.public_bytes(Encoding.PEM), PUBLIC)
    _write(folder, "browsers", certificate, own_key)


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    now: datetime,
    ends: datetime,
) -> x509.CertificateBuilder:
    own_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now.astimezone(UTC) - SKEW)
        .not_valid_after(ends)
        .add_extension(own_id, critical=False)
    )


def _common_name(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _general(names: Sequence[str]) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([_general_name(name) for name in names])


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _constrained(names: Sequence[str]) -> list[x509.GeneralName]:
    """Return the names in the form of constraints: an address is a network of one."""
    found: list[x509.GeneralName] = []
    for name in names:
        try:
            found.append(x509.IPAddress(ipaddress.ip_network(name)))
        except ValueError:
            found.append(x509.DNSName(name))
    return found


def _write(
    folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> Files:
    files = Files(folder / f"{name}.pem", folder / f"{name}.key")
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    replace_file(files.key, secret, PRIVATE)
    replace_file(files.chain, certificate.public_bytes(Encoding.PEM), PUBLIC)
    return files


def _empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
