"""The name that a client asked for: `Host`, or the authority of an absolute target."""

import re
from ipaddress import IPv6Address
from typing import Final

__all__ = ["host_name", "is_host", "without_default_port"]

_MAX_BYTES: Final = 259
"""A name of 253 (RFC 1035) and a port."""

# "_" because names inside of networks have it.
_HOST: Final = re.compile(
    rb"(?:[0-9A-Za-z_-]{1,63}+(?:\.[0-9A-Za-z_-]{1,63}+)*+\.?|\[([0-9A-Fa-f:.]{2,45}+)\])"
    rb"(?::([0-9]{1,5}))?"
)
_DEFAULT_PORTS: Final = {b"http": b":80", b"https": b":443"}


def is_host(value: bytes) -> bool:
    """Tell whether it is a name, an IPv4 or a bracketed IPv6 address, with or without a port."""
    match = _HOST.fullmatch(value)
    if match is None or len(value) > _MAX_BYTES:
        return False
    address, port = match.groups()
    if port is not None and not 0 < int(port) < 65_536:
        return False
    if address is not None:
        try:
            IPv6Address(address.decode("ascii"))
        except ValueError:
            return False
    return True


def host_name(host: bytes) -> bytes:
    """Return a valid host without its port."""
    name, _, port = host.rpartition(b":")
    return name if port.isdigit() and name else host


def without_default_port(host: bytes, scheme: bytes) -> bytes:
    """Return a valid host in the form in which equal ones are equal.

    Args:
        host: With or without a port.
        scheme: ``http`` or ``https``.
    """
    return host.lower().removesuffix(_DEFAULT_PORTS[scheme])
