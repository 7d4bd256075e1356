"""The PROXY protocol, versions 1 and 2: who the client is, said by a load balancer in front.

Specified by HAProxy's ``doc/proxy-protocol.txt``. Only for listeners where the sender is known.
"""

import re
from ipaddress import IPv4Address, IPv6Address
from typing import Final

import msgspec

from bolide.balancer.heads.errors import HeadError

__all__ = ["MAX_HEADER_BYTES", "ProxyHeader", "parse_proxy_header"]

MAX_HEADER_BYTES: Final = 4_096
"""Longest header with all its TLVs; the format itself ends at 65,551."""

_MAX_LINE_BYTES: Final = 107
_SIGNATURE_1: Final = b"PROXY "
_SIGNATURE_2: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_LINE: Final = re.compile(
    rb"PROXY (?:UNKNOWN(?: [\x20-\x7e]*+)?"
    rb"|(TCP[46]) ([0-9A-Fa-f:.]++) ([0-9A-Fa-f:.]++) (0|[1-9][0-9]{0,4}) (0|[1-9][0-9]{0,4}))\r\n"
)
_LOCAL: Final = 0x20
_PROXY: Final = 0x21
_TCP4: Final = 0x11
_TCP6: Final = 0x21
_ADDRESS_BYTES: Final = {0x00: 0, _TCP4: 12, _TCP6: 36, 0x31: 216}
"""Family and protocol -> size of the addresses. Datagrams are not here: this came over a stream."""


class ProxyHeader(msgspec.Struct, frozen=True):
    """A complete header.

    Attributes:
        size: Bytes of it; what follows is the client's.
        address: IP address of the client; None if the sender speaks for itself, such as for its
            health checks, or does not know.
    """

    size: int
    address: str | None


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """Read a header from what came first on a connection.

    Returns:
        None if it is not complete.

    Raises:
        HeadError: 400, as soon as it is certain that this is none.
    """
    if data.startswith(_SIGNATURE_2):
        return _parse_2(data)
    if data.startswith(_SIGNATURE_1):
        return _parse_1(data)
    if not _SIGNATURE_1.startswith(data) and not _SIGNATURE_2.startswith(data):
        raise HeadError(400, "proxy-signature")
    return None


def _parse_1(data: bytes) -> ProxyHeader | None:
    end = data.find(b"\n", 0, _MAX_LINE_BYTES)
    if end < 0:
        # The CR of an unfinished line can only be its last byte.
        if len(data) >= _MAX_LINE_BYTES or b"\r" in data[:-1]:
            raise HeadError(400, "proxy-line")
        return None
    line = _LINE.fullmatch(data, 0, end + 1)
    if line is None:
        raise HeadError(400, "proxy-line")
    family, source, destination, *ports = line.groups()
    if family is None:
        return ProxyHeader(end + 1, None)
    kind = IPv4Address if family == b"TCP4" else IPv6Address
    try:
        address = kind(source.decode("ascii"))
        kind(destination.decode("ascii"))
    except ValueError:
        raise HeadError(400, "proxy-address") from None
    if any(int(port) > 65_535 for port in ports):
        raise HeadError(400, "proxy-address")
    return ProxyHeader(end + 1, str(address))


def _parse_2(data: bytes) -> ProxyHeader | None:
    if len(data) > 12 and data[12] not in (_LOCAL, _PROXY):
        raise HeadError(400, "proxy-command")
    if len(data) < 16:
        return None
    command, family = data[12], data[13]
    length = int.from_bytes(data[14:16], "big")
    size = 16 + length
    if size > MAX_HEADER_BYTES:
        raise HeadError(400, "proxy-bytes")
    if command == _PROXY:
        needed = _ADDRESS_BYTES.get(family)
        if needed is None:
            raise HeadError(400, "proxy-family")
        if length < needed:
            raise HeadError(400, "proxy-address")
    if len(data) < size:
        return None
    address = None
    if command == _PROXY and family == _TCP4:
        address = str(IPv4Address(data[16:20]))
    elif command == _PROXY and family == _TCP6:
        address = str(IPv6Address(data[16:32]))
    return ProxyHeader(size, address)
