"""A private key as PKCS#8, encrypted with a passphrase.

What ``cryptography`` writes by itself lets a passphrase be tried cheaply: OpenSSL's default of
2,048 rounds. So the outer structure (RFC 8018: PBES2 of PBKDF2 with HMAC-SHA-256, AES-256-CBC) is
written here; every program that reads PKCS#8 reads it.
"""

import base64
import hashlib
import os
import textwrap
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.padding import PKCS7
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

__all__ = ["ROUNDS", "WrongPassphrase", "decrypt_key", "encrypt_key"]

ROUNDS: Final = 600_000
"""Of PBKDF2: OWASP's figure for HMAC-SHA-256, and what other passwords of Bolide's get at least."""

_SALT_BYTES: Final = 16
_KEY_BYTES: Final = 32
_BLOCK_BYTES: Final = 16
# Tag, length and value of the object identifiers.
_PBES2: Final = bytes.fromhex("06092a864886f70d01050d")
_PBKDF2: Final = bytes.fromhex("06092a864886f70d01050c")
_HMAC_SHA_256: Final = bytes.fromhex("06082a864886f70d02090500")  # and no parameters
_AES_256_CBC: Final = bytes.fromhex("060960864801650304012a")
_INTEGER, _OCTETS, _SEQUENCE = 0x02, 0x04, 0x30
_LABEL: Final = "ENCRYPTED PRIVATE KEY"


class WrongPassphrase(Exception):
    """The key cannot be decrypted with this passphrase, or is damaged."""


def encrypt_key(key: ec.EllipticCurvePrivateKey, passphrase: bytes) -> bytes:
    """Return a key as PEM text.

    Args:
        key: What is to be kept.
        passphrase: As typed, UTF-8.
    """
    plain = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    salt, start = os.urandom(_SALT_BYTES), os.urandom(_BLOCK_BYTES)
    secret = hashlib.pbkdf2_hmac("sha256", passphrase, salt, ROUNDS, _KEY_BYTES)
    padder = PKCS7(8 * _BLOCK_BYTES).padder()
    encryptor = Cipher(AES(secret), CBC(start)).encryptor()
    sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    rounds = ROUNDS.to_bytes(ROUNDS.bit_length() // 8 + 1)
    derivation = _sequence(
        _PBKDF2,
        _sequence(_der(_OCTETS, salt), _der(_INTEGER, rounds), _der(_SEQUENCE, _HMAC_SHA_256)),
    )
    scheme = _sequence(_PBES2, _sequence(derivation, _sequence(_AES_256_CBC, _der(_OCTETS, start))))
    text = base64.b64encode(_sequence(scheme, _der(_OCTETS, sealed))).decode()
    lines = [f"-----BEGIN {_LABEL}-----", *textwrap.wrap(text, 64), f"-----END {_LABEL}-----", ""]
    return "\n".join(lines).encode()


def decrypt_key(pem: bytes, passphrase: bytes) -> ec.EllipticCurvePrivateKey:
    """Return the key of a PEM text.

    Args:
        pem: As :func:`encrypt_key` returned it, or another program's PKCS#8.
        passphrase: As typed, UTF-8.

    Raises:
        WrongPassphrase: If there is no such key to be had.
    """
    try:
        key = load_pem_private_key(pem, passphrase)
    except (TypeError, ValueError, UnsupportedAlgorithm):
        raise WrongPassphrase from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise WrongPassphrase
    return key


def _sequence(*parts: bytes) -> bytes:
    return _der(_SEQUENCE, b"".join(parts))


def _der(tag: int, value: bytes) -> bytes:
    size = len(value)
    if size < 0x80:
        return bytes([tag, size]) + value
    length = size.to_bytes((size.bit_length() + 7) // 8)
    return bytes([tag, 0x80 | len(length)]) + length + value
