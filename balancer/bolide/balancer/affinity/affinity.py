"""The sealed affinity cookie: it names a node, and when that ends to hold.

Its value is base64url without padding of::

    version (1 byte, 1) | key id (4) | nonce (12) | AES-256-GCM of the content, tag included

The content is the expiry (8 bytes, big-endian seconds since 1970) and the name of the node in
UTF-8, filled up with NULs to a multiple of 32 bytes, so that its length does not tell nodes apart.
What comes before the nonce is authenticated along, and so is the name of the cluster. It
authenticates nobody: who steals one reaches a node that he would reach anyway.

A nonce is random. All clients that are given the same node in the same second are given the same
cookie, so a key seals at most as many times a second as there are nodes, in each worker: far
below the 2**32 times of NIST SP 800-38D, section 8.3, in the life of a key.
"""

import hmac
import os
from base64 import urlsafe_b64encode
from binascii import Error, a2b_base64
from collections.abc import Callable, Sequence
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["COOKIE_NAME", "KEY_BYTES", "Affinity"]

COOKIE_NAME: Final = b"__Host-bolide_lb"
"""Browsers take a cookie of such a name over TLS only, for one host and all its paths."""

KEY_BYTES: Final = 32

_VERSION: Final = b"\x01"
_ID_BYTES: Final = 4
_NONCE_BYTES: Final = 12
_EXPIRY_BYTES: Final = 8
_PAD_BYTES: Final = 32
_HEADER_BYTES: Final = 1 + _ID_BYTES
_MAX_VALUE_BYTES: Final = 1024
"""Longer ones are not looked at."""
_MAX_KNOWN: Final = 1024
"""How many opened values are remembered."""
_STANDARD: Final = bytes.maketrans(b"-_", b"+/")


class Affinity:
    """Seals and opens the cookies of one cluster.

    Args:
        cluster: Name of the cluster; cookies of others are not opened.
        keys: 32 bytes each; the first one seals, all open. Without any there is no affinity.
        max_age_s: How long a cookie holds.
        wall_s: Tells the time of day, seconds since 1970.
    """

    def __init__(
        self,
        cluster: str,
        keys: Sequence[bytes],
        *,
        max_age_s: int,
        wall_s: Callable[[], float],
    ) -> None:
        """Derive what is needed of each key.

        Raises:
            ValueError: If a key is not 32 bytes long.
        """
        if any(len(key) != KEY_BYTES for key in keys):
            raise ValueError("a key of the affinity cookie has 32 bytes")
        self._cluster = cluster.encode()
        self._ciphers = {_header(key): AESGCM(key) for key in reversed(keys)}
        self._sealing = _header(keys[0]) if keys else None
        self._max_age_s = max_age_s
        self._wall_s = wall_s
        self._sealed_at = 0
        self._sealed: dict[str, bytes] = {}
        self._known: dict[bytes, _Opened] = {}

    @property
    def name(self) -> bytes:
        """Name of the cookie."""
        return COOKIE_NAME

    def open(self, value: bytes) -> str | None:
        """Return the node that a cookie names.

        Args:
            value: As it came, whatever that is.

        Returns:
            Name of the node; None if the value is not ours, of another cluster, or too old.
        """
        now = self._wall_s()
        known = self._known.get(value)
        if known is None:
            known = self._unseal(value)
            if known is None:
                return None
            self._remember(value, known)
        return known.node if now < known.expiry else None

    def wants_renewal(self, value: bytes) -> bool:
        """Tell whether a cookie that was just opened is to be replaced by one for the same node.

        It is when a key sealed it that seals no more, so that nobody has to keep that for long, or
        when the half of its time is over, so that who comes again and again stays at his node.

        Args:
            value: As it came.
        """
        known = self._known.get(value)
        if known is None:
            return False
        return known.key != self._sealing or known.expiry - self._wall_s() < self._max_age_s / 2

    def set_cookie(self, node: str) -> bytes:
        """Return the line of a response head that keeps a client at a node.

        Args:
            node: Name of the node.

        Returns:
            ``Set-Cookie: ...`` with its CRLF; nothing if there is no key.
        """
        now = int(self._wall_s())
        if now != self._sealed_at:
            self._sealed_at = now
            self._sealed.clear()
        line = self._sealed.get(node)
        if line is None:
            line = self._sealed[node] = self._line(node, now + self._max_age_s)
        return line

    def _line(self, node: str, expiry: int) -> bytes:
        if self._sealing is None:
            return b""
        header = self._sealing
        nonce = os.urandom(_NONCE_BYTES)
        content = expiry.to_bytes(_EXPIRY_BYTES, "big") + node.encode()
        content += bytes(-len(content) % _PAD_BYTES)
        sealed = self._ciphers[header].encrypt(nonce, content, header + self._cluster)
        value = urlsafe_b64encode(header + nonce + sealed).rstrip(b"=")
        attributes = b"Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=%d" % self._max_age_s
        return b"Set-Cookie: %b=%b; %b\r\n" % (COOKIE_NAME, value, attributes)

    def _unseal(self, value: bytes) -> "_Opened | None":
        if len(value) > _MAX_VALUE_BYTES:
            return None
        try:
            text = value.translate(_STANDARD) + b"=" * (-len(value) % 4)
            raw = a2b_base64(text, strict_mode=True)
        except Error:
            return None
        header, sealed = raw[:_HEADER_BYTES], raw[_HEADER_BYTES + _NONCE_BYTES :]
        cipher = self._ciphers.get(header)
        if cipher is None:
            return None
        nonce = raw[_HEADER_BYTES : _HEADER_BYTES + _NONCE_BYTES]
        try:
            content = cipher.decrypt(nonce, sealed, header + self._cluster)
        except (InvalidTag, ValueError):  # ValueError: too short for a nonce
            return None
        expiry = int.from_bytes(content[:_EXPIRY_BYTES], "big")
        return _Opened(content[_EXPIRY_BYTES:].rstrip(b"\0").decode(), expiry, header)

    def _remember(self, value: bytes, known: "_Opened") -> None:
        """Keep what a busy connection sends again; only what is ours comes here."""
        if len(self._known) >= _MAX_KNOWN:
            del self._known[next(iter(self._known))]
        self._known[value] = known


class _Opened(NamedTuple):
    """What a cookie says, and which key sealed it."""

    node: str
    expiry: int
    key: bytes


def _header(key: bytes) -> bytes:
    return _VERSION + hmac.digest(key, b"bolide affinity key id", "sha256")[:_ID_BYTES]
