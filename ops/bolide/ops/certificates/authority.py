"""The private authority of a cluster, in a folder.

``ca.pem`` holds the certificates that are to be believed, the one that signs first: nodes and
balancers get a copy. ``ca-<id>.key`` is the encrypted key of that one, named by the fingerprint of
its certificate, so that replacing ``ca.pem`` is the one step in which an authority changes its
key. ``issued.jsonl`` is what was signed, ``denied.txt`` what is denied.

The authority signs nothing but the certificates of one cluster's nodes, balancers and operators;
its own certificate allows none below it.
"""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from bolide.core.errors import ConfigurationError
from bolide.core.identity import is_name
from bolide.ops.certificates.denied_list import NAME as DENIED
from bolide.ops.certificates.denied_list import read_denied
from bolide.ops.certificates.encrypted_key import WrongPassphrase, decrypt_key, encrypt_key
from bolide.ops.certificates.own_files import PRIVATE, PUBLIC, create_file, replace_file
from bolide.ops.certificates.register import Issued, Register
from bolide.ops.certificates.request import CURVES, Request
from bolide.ops.certificates.signing import certificate_for, own_certificate

__all__ = ["AUTHORITY_DAYS", "DAYS", "MAX_DAYS", "SOON_DAYS", "Authority"]

DAYS: Final = 30
"""How long a certificate lasts."""
MAX_DAYS: Final = 398
"""How long one may last at most, as long as one of the web."""
AUTHORITY_DAYS: Final = 1825
"""How long an authority lasts: five years."""
SOON_DAYS: Final = {"authority": 180, "certificate": 10}
"""How long before its end each is warned of, days."""

_BUNDLE: Final = "ca.pem"
_ID_LENGTH: Final = 12


@dataclass(frozen=True, slots=True)
class Authority:
    """An authority as it is on the disk.

    Attributes:
        folder: Where.
        cluster: Whose.
        believed: Its certificates, the one that signs first.
    """

    folder: Path
    cluster: str
    believed: tuple[x509.Certificate, ...]

    @classmethod
    def create(
        cls,
        folder: Path,
        cluster: str,
        passphrase: bytes,
        now: datetime,
        *,
        curve: str = "P-384",
        days: int = AUTHORITY_DAYS,
    ) -> Self:
        """Make an authority.

        Args:
            folder: Is made, closed to others; must not hold an authority.
            cluster: Name of the cluster.
            passphrase: For its key.
            now: UTC.
            curve: One of ``CURVES``.
            days: How long it lasts.

        Raises:
            ConfigurationError: If the name cannot be, or there is an authority already.
        """
        if not is_name(cluster):
            expected = "small letters, digits, dots and hyphens, 63 at most"
            raise ConfigurationError("--cluster", cluster, expected)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            with _locked(folder):
                if (folder / _BUNDLE).exists():
                    expected = "a folder without an authority; `bolide ca rotate` renews its key"
                    raise ConfigurationError("FOLDER", str(folder), expected)
                certificate = _write_key(folder, cluster, passphrase, now, curve, days)
                _write_bundle(folder, [certificate])
        except OSError as error:
            expected = f"a folder that can be written to ({error.strerror})"
            raise ConfigurationError("FOLDER", str(folder), expected) from None
        return cls(folder, cluster, (certificate,))

    @classmethod
    def open(cls, folder: Path) -> Self:
        """Read an authority; its key stays closed.

        Raises:
            ConfigurationError: If there is none.
        """
        try:
            believed = x509.load_pem_x509_certificates((folder / _BUNDLE).read_bytes())
        except (OSError, ValueError):
            expected = "the folder of an authority; `bolide ca create` makes one"
            raise ConfigurationError("FOLDER", str(folder), expected) from None
        [cluster] = believed[0].subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
        return cls(folder, str(cluster.value), tuple(believed))

    @property
    def bundle(self) -> Path:
        """The file that nodes and balancers get a copy of."""
        return self.folder / _BUNDLE

    @property
    def denied(self) -> Path:
        """The file of what is denied; it may not exist."""
        return self.folder / DENIED

    @property
    def register(self) -> Register:
        """What was signed."""
        return Register(self.folder / "issued.jsonl")

    def sign(
        self, request: Request, passphrase: bytes, now: datetime, *, days: int = DAYS
    ) -> bytes:
        """Sign a certificate, and return it as PEM text.

        Args:
            request: Was shown to whoever answers for it.
            passphrase: Of the key.
            now: UTC.
            days: How long it lasts.

        Raises:
            ConfigurationError: If the key cannot be had, or the authority ends before.
        """
        if not 1 <= days <= MAX_DAYS:
            raise ConfigurationError("--days", days, f"1 to {MAX_DAYS}")
        with _locked(self.folder):
            signer = self.believed[0]
            key = self._key(passphrase)
            ends = now + timedelta(days=days)
            if ends > signer.not_valid_after_utc:
                last = f"{signer.not_valid_after_utc:%Y-%m-%d}"
                expected = (
                    f"so few that the certificate ends before its authority, on {last}; "
                    "`bolide ca rotate` makes a new one"
                )
                raise ConfigurationError("--days", days, expected)
            certificate = certificate_for(request, signer, key, now, ends)
            # In the register before anybody has it.
            self.register.add(
                Issued(
                    fingerprint=_fingerprint(certificate),
                    identity=str(request.identity),
                    addresses=request.addresses,
                    begins=certificate.not_valid_before_utc,
                    ends=certificate.not_valid_after_utc,
                    authority=_fingerprint(signer),
                )
            )
        return certificate.public_bytes(Encoding.PEM)

    def rotate(
        self,
        passphrase: bytes,
        now: datetime,
        *,
        curve: str = "P-384",
        days: int = AUTHORITY_DAYS,
    ) -> Self:
        """Make a new key that signs from now on; the one before is believed until it is dropped.

        Args:
            passphrase: For the new key; the old one is not needed any more and is deleted.
            now: UTC.
            curve: One of ``CURVES``.
            days: How long it lasts.

        Raises:
            ConfigurationError: If a rotation is under way already.
        """
        with _locked(self.folder):
            if len(self.believed) > 1:
                expected = "one whose last rotation has ended: `bolide ca rotate --finish` ends it"
                raise ConfigurationError("FOLDER", str(self.folder), expected)
            certificate = _write_key(self.folder, self.cluster, passphrase, now, curve, days)
            believed = (certificate, *self.believed)
            _write_bundle(self.folder, believed)
            for former in self.believed:
                _key_file(self.folder, former).unlink(missing_ok=True)
        return type(self)(self.folder, self.cluster, believed)

    def finish(self, now: datetime, *, is_forced: bool = False) -> Self:
        """End a rotation: only the authority that signs is believed.

        Args:
            now: UTC.
            is_forced: Whether certificates of the former authority may be in use still.

        Raises:
            ConfigurationError: If there is no rotation, or such certificates are in use.
        """
        with _locked(self.folder):
            if len(self.believed) == 1:
                raise ConfigurationError(
                    "FOLDER", str(self.folder), "one whose rotation has begun: leave --finish out"
                )
            left = self.in_use(now, authorities=self.believed[1:])
            if left and not is_forced:
                names = ", ".join(sorted({entry.identity for entry in left}))
                expected = (
                    f"one whose former certificates are all replaced; these are in use: {names}."
                    " --force drops them all the same"
                )
                raise ConfigurationError("FOLDER", str(self.folder), expected)
            _write_bundle(self.folder, self.believed[:1])
        return type(self)(self.folder, self.cluster, self.believed[:1])

    def in_use(
        self, now: datetime, *, authorities: tuple[x509.Certificate, ...] | None = None
    ) -> list[Issued]:
        """Return what was signed, has not ended, is not denied, and was not signed anew since.

        Args:
            now: UTC.
            authorities: Only what these signed; None for all.
        """
        denied = read_denied(self.denied)
        latest: dict[str, Issued] = {}
        for entry in self.register.read():
            if entry.fingerprint not in denied and entry.ends > now:
                latest[entry.identity] = entry
        if authorities is None:
            return list(latest.values())
        names = {_fingerprint(authority) for authority in authorities}
        return [entry for entry in latest.values() if entry.authority in names]

    def _key(self, passphrase: bytes) -> ec.EllipticCurvePrivateKey:
        file = _key_file(self.folder, self.believed[0])
        try:
            key = decrypt_key(file.read_bytes(), passphrase)
        except OSError as error:
            expected = f"the key of the authority ({error.strerror})"
            raise ConfigurationError("The file", str(file), expected) from None
        except WrongPassphrase:
            raise ConfigurationError(
                "The passphrase", "(hidden)", f"that of {file.name}, or the file is damaged"
            ) from None
        if key.public_key() != self.believed[0].public_key():
            raise ConfigurationError("The file", str(file), f"the key of the first in {_BUNDLE}")
        return key


@contextmanager
def _locked(folder: Path) -> Generator[None]:
    """Let nobody else change the folder during the block."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _fingerprint(certificate: x509.Certificate) -> str:
    return certificate.fingerprint(SHA256()).hex()


def _key_file(folder: Path, certificate: x509.Certificate) -> Path:
    return folder / f"ca-{_fingerprint(certificate)[:_ID_LENGTH]}.key"


def _write_bundle(
    folder: Path, believed: "tuple[x509.Certificate, ...] | list[x509.Certificate]"
) -> None:
    pem = b"".join(certificate.public_bytes(Encoding.PEM) for certificate in believed)
    replace_file(folder / _BUNDLE, pem, PUBLIC)


def _write_key(
    folder: Path, cluster: str, passphrase: bytes, now: datetime, curve: str, days: int
) -> x509.Certificate:
    """Make a key and its certificate, and write the key."""
    key = ec.generate_private_key(CURVES[curve]())
    certificate = own_certificate(key, cluster, now, days)
    create_file(_key_file(folder, certificate), encrypt_key(key, passphrase), PRIVATE)
    return certificate
