"""Look at the files that settings name, so that a balancer does not start with one it cannot use.

What is wrong is a :class:`ValueError`; its text is the end of a sentence that says what the file
must be.
"""

import binascii
import os
import ssl
import stat
from base64 import b64decode
from pathlib import Path
from typing import Final

from cryptography import x509

from bolide.core.fingerprints import BadFingerprint, parse_denied

__all__ = [
    "check_appendable",
    "check_authorities",
    "check_closed",
    "check_pair",
    "check_readable",
    "end_of",
    "make_key",
    "read_denied",
    "read_key",
]

_OTHERS: Final = stat.S_IRWXO
_KEY_BYTES: Final = 32
_MAX_KEY_TEXT: Final = 1024
_MAX_DENIED_BYTES: Final = 4 * 1024 * 1024
# What OpenSSL says of a key that is not the certificate's; the last one of another kind of key.
_KEYS_OF_ANOTHER: Final = frozenset(
    {"KEY_VALUES_MISMATCH", "KEY_TYPE_MISMATCH", "NO_CERTIFICATE_ASSIGNED"}
)

# What it says of the certificate of a key that it finds too short.
_WEAK: Final = frozenset({"EE_KEY_TOO_SMALL", "CA_KEY_TOO_SMALL"})


def check_readable(path: str) -> None:
    """Refuse a file that is not there or that this user may not read."""
    try:
        with Path(path).open("rb"):
            return
    except FileNotFoundError:
        expected = "a file that exists"
    except PermissionError:
        expected = "a file that this user may read"
    except OSError as error:
        expected = f"a file that can be read ({error.strerror})"
    raise ValueError(expected)


def check_appendable(path: str) -> None:
    """Refuse a file that this user can neither append to nor make; nothing is made."""
    file = Path(path)
    if not file.exists():
        if not file.parent.is_dir():
            raise ValueError("a file in a folder that exists")
        if not os.access(file.parent, os.W_OK | os.X_OK):
            raise ValueError("a file in a folder that this user may write to")
    elif file.is_dir():
        raise ValueError("a file, and not a folder")
    elif not os.access(file, os.W_OK):
        raise ValueError("a file that this user may write to")


def check_closed(path: str) -> None:
    """Refuse a secret that is not there, or that every user of this machine may read."""
    check_readable(path)
    if stat.S_IMODE(Path(path).stat().st_mode) & _OTHERS:
        raise ValueError(
            "closed to other users of this machine: chmod o-rwx it, or make a new one if they may"
            " have read it"
        )


def check_authorities(path: str) -> None:
    """Refuse a file that holds no certificates."""
    check_readable(path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(path)
    except ssl.SSLError:
        raise ValueError("certificates as PEM text") from None


def check_pair(chain: str, key: str) -> None:
    """Refuse a key that needs a passphrase, is no key, or is not that of the certificate.

    ``chain`` must hold certificates; see :func:`check_authorities`.
    """
    asked: list[bool] = []

    def no_passphrase() -> str:
        asked.append(True)
        return ""

    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(chain, key, no_passphrase)
    except ssl.SSLError as error:
        if asked:
            expected = "a key without a passphrase: nobody is there to type it"
        elif error.reason in _KEYS_OF_ANOTHER:
            expected = "the key of the certificate in chain"
        elif error.reason in _WEAK:
            expected = "a key as strong as browsers ask for: P-256, or RSA of 2048 bits or more"
        else:
            expected = "a private key as PEM text"
        raise ValueError(expected) from None


def end_of(chain: str) -> float:
    """Return when a certificate ends, seconds since 1970.

    Args:
        chain: PEM file; its first certificate counts. It was looked at before.
    """
    certificate = x509.load_pem_x509_certificate(Path(chain).read_bytes())
    return certificate.not_valid_after_utc.timestamp()


def read_key(path: str) -> bytes:
    """Return a key of the affinity cookie, 32 bytes."""
    check_closed(path)
    with Path(path).open("rb") as stream:
        text = stream.read(_MAX_KEY_TEXT).strip()
    try:
        is_hexadecimal = len(text) == 2 * _KEY_BYTES
        key = bytes.fromhex(text.decode("ascii")) if is_hexadecimal else b64decode(text)
    except (ValueError, binascii.Error):
        key = b""
    if len(key) != _KEY_BYTES:
        raise ValueError(
            "a file with 32 random bytes as hexadecimal or base64 text: make one with"
            " (umask 077; openssl rand -hex 32 > FILE)"
        )
    return key


def make_key(path: str) -> None:
    """Make a file with a new key that only this user may read.

    Raises:
        OSError: If there is a file already, or none can be made.
    """
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(os.urandom(_KEY_BYTES).hex() + "\n")


def read_denied(path: str) -> frozenset[str]:
    """Return the fingerprints of certificates that are refused."""
    check_readable(path)
    with Path(path).open("rb") as stream:
        data = stream.read(_MAX_DENIED_BYTES + 1)
    if len(data) > _MAX_DENIED_BYTES:
        raise ValueError(f"no longer than {_MAX_DENIED_BYTES} bytes")
    try:
        return parse_denied(data.decode(errors="replace"))
    except BadFingerprint as error:
        raise ValueError(f"a list of fingerprints: {error}") from None
