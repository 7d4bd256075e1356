"""Fingerprints of certificates, and the list of those that are denied.

A fingerprint is the SHA-256 of a certificate's DER bytes as 64 hexadecimal digits in small letters.
A list is a text of one fingerprint a line; ``#`` begins a comment, empty lines count for nothing.
"""

import hashlib
import re
from typing import ClassVar, Final

from bolide.core.errors import BolideError

__all__ = ["MAX_DENIED", "BadFingerprint", "fingerprint", "parse_denied", "parse_fingerprint"]

MAX_DENIED: Final = 10_000
"""Most fingerprints of a list: certificates live shortly, and ended ones need no denial."""

_DIGITS: Final = re.compile(r"[0-9a-f]{64}").fullmatch


class BadFingerprint(BolideError):
    """A text that is no fingerprint, or a list that holds such a text."""

    code: ClassVar[str] = "bad-fingerprint"


def fingerprint(certificate: bytes) -> str:
    """Return the fingerprint of a certificate.

    Args:
        certificate: DER, as ``ssl.SSLSocket.getpeercert(True)`` returns it.
    """
    return hashlib.sha256(certificate).hexdigest()


def parse_fingerprint(text: str) -> str:
    """Read a fingerprint that a person wrote.

    Args:
        text: In any letters, with colons between the bytes or without, as other programs show it.

    Raises:
        BadFingerprint: If it is none.
    """
    digits = text.replace(":", "").lower()
    if _DIGITS(digits) is None:
        raise BadFingerprint("A fingerprint is a SHA-256 as 64 hexadecimal digits")
    return digits


def parse_denied(text: str) -> frozenset[str]:
    """Read a list of denied certificates.

    Args:
        text: Of the whole file.

    Raises:
        BadFingerprint: If a line is none; it names the line. A list is used whole or not at all:
            a slip of the pen must not let somebody in.
    """
    denied = set[str]()
    for number, line in enumerate(text.splitlines(), 1):
        written = line.partition("#")[0].strip()
        if not written:
            continue
        try:
            denied.add(parse_fingerprint(written))
        except BadFingerprint as error:
            raise BadFingerprint(f"Line {number}: {error}") from None
    if len(denied) > MAX_DENIED:
        raise BadFingerprint(f"There are more than {MAX_DENIED}: take out those that have ended")
    return frozenset(denied)
