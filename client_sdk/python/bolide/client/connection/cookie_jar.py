"""The one cookie that a client keeps: the balancer's, which brings it back to its node.

Browsers keep it by themselves. It is no proof of anything, and no other cookie is kept: a session
of a web application is not this client's to carry around.

Sans-I/O: the caller owns the clock and the connection.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

from bolide.client.connection.address import Address

__all__ = ["NAME", "CookieJar"]

NAME: Final = "__Host-bolide_lb"
"""Name of the cookie."""

_MAX_BYTES: Final = 4096
_IS_VALUE: Final = re.compile(r"[!#-+\--:<-\[\]-~]*").fullmatch
_HTTPS: Final = 443


@dataclass(frozen=True, slots=True)
class _Kept:
    """A cookie's value and when it ends, monotonic time in seconds."""

    value: str = field(repr=False)
    ends: float


class CookieJar:
    """Keeps a cookie for each origin that sent one over TLS, as long as it lives."""

    __slots__ = ("_kept",)

    def __init__(self) -> None:
        """Keep none yet."""
        self._kept: dict[tuple[str, int], _Kept] = {}

    def take(self, address: Address, set_cookies: Iterable[str], now: float) -> None:
        """Keep what a server said in the answer to a handshake.

        A cookie that a browser would refuse is left out: one without ``Secure`` or ``Path=/``, or
        with a ``Domain``. One without an age lasts as long as the client.

        Args:
            address: Where it was dialled.
            set_cookies: Its fields ``Set-Cookie``.
            now: Monotonic time, seconds.
        """
        if not address.is_encrypted:
            return
        for text in set_cookies:
            pair, *rest = [part.strip() for part in text.split(";")]
            name, _, value = pair.partition("=")
            if name.strip() != NAME:
                continue
            attributes = _attributes(rest)
            value = value.strip()
            is_ours = "secure" in attributes and attributes.get("path") == "/"
            if not is_ours or "domain" in attributes:
                continue
            if len(value) > _MAX_BYTES or not _IS_VALUE(value):
                continue
            age = _age(attributes)
            if value and age > 0:
                self._kept[_origin(address)] = _Kept(value, now + age)
            else:
                self._kept.pop(_origin(address), None)

    def headers(self, address: Address, headers: Mapping[str, str], now: float) -> dict[str, str]:
        """Return headers for a handshake, with the cookie of the address if there is one.

        Args:
            address: Where it is dialled.
            headers: Those of the program; a cookie of this name in them stays as it is.
            now: Monotonic time, seconds.
        """
        kept = self._kept.get(_origin(address)) if address.is_encrypted else None
        if kept is None or now >= kept.ends:
            return dict(headers)
        own = next((name for name in headers if name.lower() == "cookie"), "Cookie")
        given = headers.get(own, "")
        if any(part.partition("=")[0].strip() == NAME for part in given.split(";")):
            return dict(headers)
        cookie = f"{NAME}={kept.value}"
        return {**headers, own: f"{given}; {cookie}" if given else cookie}


def _origin(address: Address) -> tuple[str, int]:
    return address.host, urlsplit(address.url).port or _HTTPS


def _attributes(parts: Iterable[str]) -> dict[str, str]:
    pairs = (part.partition("=") for part in parts)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _age(attributes: Mapping[str, str]) -> float:
    """Return how long a cookie lasts, seconds; one whose age cannot be read has ended."""
    text = attributes.get("max-age")
    if text is None:
        return float("inf")
    return float(text) if text.isascii() and text.isdigit() else 0.0
