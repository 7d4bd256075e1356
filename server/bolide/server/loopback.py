"""Loopback addresses: what only this machine reaches."""

from ipaddress import ip_address

__all__ = ["is_loopback"]


def is_loopback(host: str) -> bool:
    """Tell whether an address is reached from this machine only.

    Args:
        host: Name or address without port, an IPv6 address with or without brackets.
    """
    try:
        return ip_address(host.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return host == "localhost"
