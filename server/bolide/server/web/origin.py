"""Decide which ``Host`` and ``Origin`` a node answers.

A browser sends cookies and reaches loopback addresses on behalf of any page; these two headers
are what tells a page of ours from a stranger's. The check also holds in development, because a
developer's machine is where a stranger's page finds an open node most easily (DNS rebinding).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Self
from urllib.parse import urlsplit

from bolide.core.errors import ConfigurationError
from bolide.server.loopback import is_loopback

__all__ = ["OriginPolicy"]

_LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")
_DEFAULT_PORTS = {"http": 80, "https": 443}
# No browser sends the WebSocket schemes; native clients on ws4py do, `python-meteor` among them.
_WEB_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}


def _origin(option: str, url: str) -> str:
    """Return ``scheme://host:port`` of a URL, the port always spelled out."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(option, url, "a URL such as https://ward.example.org") from error
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.username:
        raise ConfigurationError(option, url, "a URL such as https://ward.example.org")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}:{port or _DEFAULT_PORTS[parts.scheme]}"


def _received_origin(origin: str) -> str | None:
    """Return an ``Origin`` header with its port spelled out; None if it is no web origin."""
    named, separator, authority = origin.partition("://")
    scheme = _WEB_SCHEMES.get(named)
    if not separator or scheme is None:
        return None
    return f"{scheme}://{_with_port(authority.lower(), scheme)}"


def _with_port(authority: str, scheme: str) -> str:
    host, separator, port = authority.rpartition(":")
    if separator and port.isdigit() and (host.endswith("]") or ":" not in host):
        return authority
    return f"{authority}:{_DEFAULT_PORTS[scheme]}"


@dataclass(frozen=True, slots=True)
class OriginPolicy:
    """The web origins that belong to this application.

    Attributes:
        origins: Allowed ``scheme://host:port``; empty stands for loopback with the listening port.
    """

    origins: frozenset[str] = frozenset()

    @classmethod
    def from_settings(cls, public_url: str | None, allowed_origins: Iterable[str] = ()) -> Self:
        """Make the policy of a node.

        Args:
            public_url: Where browsers find the application; None only on loopback.
            allowed_origins: Further origins whose pages may connect.

        Raises:
            ConfigurationError: If one of them is not an ``http`` or ``https`` URL.
        """
        origins = [_origin("allowed_origins", url) for url in allowed_origins]
        if public_url is not None:
            origins.append(_origin("public_url", public_url))
        return cls(frozenset(origins))

    def refusal(
        self, *, host: str | None, origin: str | None, server: tuple[str, int] | None
    ) -> str | None:
        """Tell why a request is refused.

        Args:
            host: The ``Host`` header.
            origin: The ``Origin`` header; None for native clients, which send none.
            server: Address and port that the request reached, if known.

        Returns:
            One line that names the header and the setting, or None if the request is welcome.
        """
        allowed = self.origins or _loopback_origins(server)
        if not allowed:
            return "Set BOLIDE_PUBLIC_URL: this node does not listen on loopback"
        if host is None or host.lower() not in _authorities(allowed):
            return "This Host is not served here; see BOLIDE_PUBLIC_URL"
        if origin is not None and _received_origin(origin) not in allowed:
            return "This Origin may not connect; see BOLIDE_PUBLIC_URL and BOLIDE_ALLOWED_ORIGINS"
        return None


def _authorities(origins: Iterable[str]) -> set[str]:
    """Return what a ``Host`` header may say; behind a TLS proxy the scheme is not to be seen."""
    authorities = set[str]()
    for origin in origins:
        scheme, _, authority = origin.partition("://")
        authorities.add(authority)
        authorities.add(authority.removesuffix(f":{_DEFAULT_PORTS[scheme]}"))
    return authorities


def _loopback_origins(server: tuple[str, int] | None) -> frozenset[str]:
    if server is None or not is_loopback(server[0]):
        return frozenset()
    return frozenset(
        f"{scheme}://{name}:{server[1]}" for scheme in ("http", "https") for name in _LOOPBACK_NAMES
    )
