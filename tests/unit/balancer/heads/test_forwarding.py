"""Who the client is."""

import pytest

from bolide.balancer.heads.forwarding import forwarding_fields


@pytest.mark.parametrize(
    ("address", "quoted", "plain"),
    [
        ("192.0.2.1", b"192.0.2.1", b"192.0.2.1"),
        ("2001:DB8::1", b'"[2001:db8::1]"', b"2001:db8::1"),
        ("::ffff:192.0.2.1", b"192.0.2.1", b"192.0.2.1"),
        ("fe80::1%eth0", b'"[fe80::1]"', b"fe80::1"),
        ("x\r\ny", b"unknown", b"unknown"),
    ],
)
def test_an_address_is_told_in_both_ways(address: str, quoted: bytes, plain: bytes) -> None:
    assert forwarding_fields(address, is_tls=True) == (
        b"Forwarded: for=%b;proto=https\r\nX-Forwarded-For: %b\r\nX-Forwarded-Proto: https\r\n"
        % (quoted, plain)
    )


def test_plain_http_is_called_so() -> None:
    assert forwarding_fields("192.0.2.1", is_tls=False).count(b"http\r\n") == 2
