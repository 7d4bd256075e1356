"""The file of certificates that are denied, which nodes and balancers are given."""

from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256

from bolide.core.errors import ConfigurationError
from bolide.core.fingerprints import BadFingerprint, parse_denied, parse_fingerprint
from bolide.ops.certificates.own_files import PUBLIC, replace_file

__all__ = ["NAME", "deny", "read_denied", "read_fingerprint"]

NAME = "denied.txt"
"""In the folder of an authority."""


def read_denied(file: Path) -> frozenset[str]:
    """Return the fingerprints of a list; of one that does not exist, none.

    Raises:
        ConfigurationError: If it cannot be read or a line is no fingerprint.
    """
    return parse_denied(_text(file))


def deny(file: Path, fingerprint: str, comment: str) -> bool:
    """Put a certificate on a list; tell whether it was not there before.

    Args:
        file: May not exist yet.
        fingerprint: Of the certificate.
        comment: Who that was, for people: printable, one line.

    Raises:
        ConfigurationError: If the list cannot be read or a line is no fingerprint.
    """
    text = _text(file)
    if fingerprint in parse_denied(text):
        return False
    if text and not text.endswith("\n"):
        text += "\n"
    replace_file(file, f"{text}{fingerprint}  # {comment}\n".encode(), PUBLIC)
    return True


def read_fingerprint(certificate: str) -> str:
    """Return the fingerprint that somebody names.

    Args:
        certificate: A PEM file whose first certificate is meant, or a fingerprint.

    Raises:
        ConfigurationError: If it is neither.
    """
    try:
        return parse_fingerprint(certificate)
    except BadFingerprint:
        pass
    try:
        read = x509.load_pem_x509_certificate(Path(certificate).read_bytes())
    except (OSError, ValueError):
        expected = "a PEM file with a certificate, or its SHA-256 fingerprint"
        raise ConfigurationError("CERTIFICATE", certificate, expected) from None
    return read.fingerprint(SHA256()).hex()


def _text(file: Path) -> str:
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        return ""
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError("The list", str(file), "a text that can be read") from None
    try:
        parse_denied(text)
    except BadFingerprint as error:
        expected = f"a list of fingerprints, and it is not changed. {error}"
        raise ConfigurationError("The list", str(file), expected) from None
    return text
