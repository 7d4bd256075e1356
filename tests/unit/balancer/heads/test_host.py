"""Names and addresses in `Host`."""

import pytest

from bolide.balancer.heads.host import host_name, is_host, without_default_port


@pytest.mark.parametrize(
    ("host", "name"),
    [
        (b"a", b"a"),
        (b"ward-1.Example.org.:8443", b"ward-1.Example.org."),
        (b"node_1:1", b"node_1"),
        (b"192.0.2.1:65535", b"192.0.2.1"),
        (b"[::1]", b"[::1]"),
        (b"[2001:db8::1]:80", b"[2001:db8::1]"),
        (b"a" * 63 + b".b", b"a" * 63 + b".b"),
    ],
)
def test_a_host_has_a_name(host: bytes, name: bytes) -> None:
    assert is_host(host)
    assert host_name(host) == name


@pytest.mark.parametrize(
    "host",
    [
        b"", b":80", b"a:", b"a:0", b"a:65536", b"a:+1", b"a:1:2", b"a b", b"a/b", b"a@b", b"a,b",
        b".", b"a..b", b".a", b"::1", b"[::1", b"[1.2.3.4]", b"[:::]", b"[::1]x", b"[::1%eth0]",
        b"a" * 64, b"a." * 130, "ä".encode(), b"a?b", b"a#b", b"a\tb", b"a\\b", b"a%41",
    ],
)  # fmt: skip
def test_what_is_no_host_is_none(host: bytes) -> None:
    assert not is_host(host)


def test_a_default_port_makes_no_difference() -> None:
    assert without_default_port(b"A:80", b"http") == b"a"
    assert without_default_port(b"A:80", b"https") == b"a:80"
    assert without_default_port(b"a:443", b"https") == b"a"
