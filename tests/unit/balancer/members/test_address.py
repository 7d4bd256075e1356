"""Hosts with ports."""

import pytest

from bolide.balancer.members.address import Address, parse_address


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("10.0.0.7:3000", Address("10.0.0.7", 3000)),
        ("[fd00::7]:3000", Address("fd00::7", 3000)),
        ("node-a.internal:0", Address("node-a.internal", 0)),
        ("localhost:65535", Address("localhost", 65535)),
    ],
)
def test_an_address_is_read_and_written(text: str, address: Address) -> None:
    assert parse_address(text) == address
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "", ":", "host", "host:", ":3000", "host:http", "host:65536", "host:-1", "host:\u0663",
        "fd00::7:3000", "[fd00::7]", "[fd00::x]:1", "[]:1", "a b:1", "a\nb:1", "h\u00f6st:1",
    ],
)  # fmt: skip
def test_something_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a host and a port"):
        parse_address(text)


def test_an_address_tells_whether_somebody_must_be_asked_for_it() -> None:
    assert Address("10.0.0.7", 1).is_literal
    assert Address("fd00::7", 1).is_literal
    assert not Address("node-a", 1).is_literal


@pytest.mark.parametrize(
    ("host", "is_loopback"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("localhost", True),
        ("10.0.0.7", False),
        ("node-a", False),
    ],
)
def test_an_address_tells_whether_only_this_machine_reaches_it(
    host: str, is_loopback: bool
) -> None:
    assert Address(host, 1).is_loopback == is_loopback
