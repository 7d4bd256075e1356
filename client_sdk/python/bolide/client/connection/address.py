"""Where a server is: one address as a person writes it, made into a WebSocket URL."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from bolide.core.errors import ConfigurationError

__all__ = ["Address", "parse_address", "parse_addresses"]

_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_EXPECTED = "such as https://ward.example.org or ws://127.0.0.1:3000/websocket"


@dataclass(frozen=True, slots=True)
class Address:
    """One server's address.

    Attributes:
        url: What is dialled, ``ws://`` or ``wss://``; may hold a secret, so it is never shown.
        label: Scheme, host and port: what logs and errors show.
        host: Name or address of the host.
        is_encrypted: Whether TLS is used.
    """

    url: str = field(repr=False)
    label: str
    host: str
    is_encrypted: bool


def parse_address(text: str) -> Address:
    """Read one address.

    Args:
        text: ``ws``, ``wss``, ``http`` or ``https``, a host, and perhaps port, path and query. The
            endpoint ``/websocket`` is added to ``http`` and ``https``, and where there is no path.

    Raises:
        ConfigurationError: If it is something else; the text itself is not repeated, since it may
            hold a password.
    """
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname, parts.port
    except ValueError:
        raise ConfigurationError("urls", "(hidden)", f"addresses {_EXPECTED}") from None
    scheme = _SCHEMES.get(parts.scheme.lower())
    if scheme is None or not host or parts.fragment:
        raise ConfigurationError("urls", "(hidden)", f"addresses {_EXPECTED}")
    path = parts.path
    if parts.scheme.lower().startswith("http") or path in ("", "/"):
        path = path.rstrip("/")
        if not path.endswith("/websocket"):
            path += "/websocket"
    shown_host = f"[{host}]" if ":" in host else host
    shown_port = f":{port}" if port is not None else ""
    return Address(
        url=urlunsplit((scheme, parts.netloc, path, parts.query, "")),
        label=f"{scheme}://{shown_host}{shown_port}",
        host=host,
        is_encrypted=scheme == "wss",
    )


def parse_addresses(urls: str | Iterable[str]) -> tuple[Address, ...]:
    """Read one address or several, in the order they are to be tried.

    Raises:
        ConfigurationError: If there is none, or one of them is wrong.
    """
    addresses = tuple(parse_address(url) for url in ([urls] if isinstance(urls, str) else urls))
    if not addresses:
        raise ConfigurationError("urls", "an empty list", f"at least one address {_EXPECTED}")
    return addresses
