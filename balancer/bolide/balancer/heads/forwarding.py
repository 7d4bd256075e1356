"""Who the client is, told to the node once (RFC 7239)."""

from functools import lru_cache
from ipaddress import IPv6Address, ip_address

__all__ = ["forwarding_fields"]


@lru_cache(maxsize=4096)
def forwarding_fields(address: str, *, is_tls: bool) -> bytes:
    """Write `Forwarded`, `X-Forwarded-For` and `X-Forwarded-Proto`, each with its CRLF.

    Args:
        address: IP address of the client; anything else becomes ``unknown``.
        is_tls: Whether the client speaks TLS.
    """
    protocol = "https" if is_tls else "http"
    try:
        # The zone of a link-local address is a matter of this machine.
        parsed = ip_address(address.partition("%")[0])
    except ValueError:
        plain = quoted = "unknown"
    else:
        if isinstance(parsed, IPv6Address):
            parsed = parsed.ipv4_mapped or parsed
        plain = str(parsed)
        quoted = f'"[{plain}]"' if parsed.version == 6 else plain
    return (
        f"Forwarded: for={quoted};proto={protocol}\r\n"
        f"X-Forwarded-For: {plain}\r\n"
        f"X-Forwarded-Proto: {protocol}\r\n"
    ).encode("ascii")
