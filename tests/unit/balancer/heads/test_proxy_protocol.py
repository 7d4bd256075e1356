"""The PROXY protocol."""

import pytest

from bolide.balancer.heads.errors import HeadError
from bolide.balancer.heads.proxy_protocol import (
    MAX_HEADER_BYTES,
    ProxyHeader,
    parse_proxy_header,
)

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"
V4 = bytes([192, 0, 2, 1, 192, 0, 2, 2, 0, 80, 1, 187])
V6 = bytes.fromhex("20010db8000000000000000000000001") * 2 + b"\x00\x50\x01\xbb"


def binary(command: int, family: int, rest: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(rest).to_bytes(2, "big") + rest


@pytest.mark.parametrize(
    ("header", "address"),
    [
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", "192.0.2.1"),
        (b"PROXY TCP6 2001:db8::1 ::1 0 65535\r\n", "2001:db8::1"),
        (b"PROXY UNKNOWN\r\n", None),
        (b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n", None),
        (binary(0x21, 0x11, V4), "192.0.2.1"),
        (binary(0x21, 0x11, V4 + b"\x04\x00\x01\x00"), "192.0.2.1"),
        (binary(0x21, 0x21, V6), "2001:db8::1"),
        (binary(0x21, 0x00, b""), None),
        (binary(0x21, 0x31, bytes(216)), None),
        (binary(0x20, 0x11, V4), None),
        (binary(0x20, 0xFF, b""), None),
    ],
)
def test_a_header_names_the_client(header: bytes, address: str | None) -> None:
    assert parse_proxy_header(header + b"\x16\x03") == ProxyHeader(len(header), address)
    for size in range(len(header)):
        assert parse_proxy_header(header[:size]) is None


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x16", "proxy-signature"),
        (b"GET / HTTP/1.1\r\n", "proxy-signature"),
        (b"PROXY\t", "proxy-signature"),
        (b"proxy TCP4", "proxy-signature"),
        (SIGNATURE[:11] + b"\r", "proxy-signature"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n", "proxy-line"),
        (b"PROXY TCP4 192.0.2.1\rx", "proxy-line"),
        (b"PROXY TCP4  192.0.2.1 192.0.2.2 1 2\r\n", "proxy-line"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n", "proxy-line"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n", "proxy-line"),
        (b"PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n", "proxy-line"),
        (b"PROXY TCP4 " + b"1" * 96, "proxy-line"),
        (b"PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n", "proxy-address"),
        (b"PROXY TCP4 ::1 192.0.2.2 1 2\r\n", "proxy-address"),
        (b"PROXY TCP6 ::1 192.0.2.2 1 2\r\n", "proxy-address"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1 65536\r\n", "proxy-address"),
        (SIGNATURE + b"\x11", "proxy-command"),
        (SIGNATURE + b"\x22", "proxy-command"),
        (binary(0x21, 0x12, V4), "proxy-family"),
        (binary(0x21, 0x41, V4), "proxy-family"),
        (binary(0x21, 0x11, V4[:11]), "proxy-address"),
        (binary(0x21, 0x21, V4), "proxy-address"),
        (SIGNATURE + b"\x21\x11" + (MAX_HEADER_BYTES - 15).to_bytes(2, "big"), "proxy-bytes"),
    ],
)
def test_anything_else_is_refused(data: bytes, name: str) -> None:
    with pytest.raises(HeadError, match=f"400 {name}"):
        parse_proxy_header(data)


def test_a_header_may_be_exactly_as_long_as_the_limit() -> None:
    header = binary(0x21, 0x11, V4 + bytes(MAX_HEADER_BYTES - 28))
    assert parse_proxy_header(header) == ProxyHeader(MAX_HEADER_BYTES, "192.0.2.1")
