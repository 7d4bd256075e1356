"""Addresses: what is dialled, and what is shown of it."""

import pytest

from bolide.client.connection.address import parse_address, parse_addresses
from bolide.core.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "url", "label"),
    [
        ("ws://h:3000/websocket", "ws://h:3000/websocket", "ws://h:3000"),
        ("ws://h:3000/sockjs/websocket", "ws://h:3000/sockjs/websocket", "ws://h:3000"),
        ("ws://h/app/", "ws://h/app/", "ws://h"),
        ("wss://h", "wss://h/websocket", "wss://h"),
        ("http://127.0.0.1:3000", "ws://127.0.0.1:3000/websocket", "ws://127.0.0.1:3000"),
        ("http://127.0.0.1:3000/", "ws://127.0.0.1:3000/websocket", "ws://127.0.0.1:3000"),
        ("https://h/app", "wss://h/app/websocket", "wss://h"),
        ("HTTPS://h/websocket", "wss://h/websocket", "wss://h"),
        ("https://h/app?ward=7", "wss://h/app/websocket?ward=7", "wss://h"),
        (" http://[::1]:80 ", "ws://[::1]:80/websocket", "ws://[::1]:80"),
    ],
)
def test_address_becomes_a_websocket_url(text: str, url: str, label: str) -> None:
    address = parse_address(text)
    assert (address.url, address.label) == (url, label)
    assert address.is_encrypted == url.startswith("wss")


@pytest.mark.parametrize("text", ["", "h:3000", "ftp://h", "http://", "ws://h#x", "ws://h:port"])
def test_other_text_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"urls is '\(hidden\)'"):
        parse_address(text)


def test_user_password_and_query_are_not_shown() -> None:
    address = parse_address("wss://ada:secret@h/websocket?token=abc")
    assert "secret" in address.url
    assert address.label == "wss://h"
    assert "secret" not in repr(address)
    assert "abc" not in repr(address)


def test_one_address_or_a_list_keeps_its_order() -> None:
    assert [a.host for a in parse_addresses("ws://a")] == ["a"]
    assert [a.host for a in parse_addresses(["ws://b", "ws://a"])] == ["b", "a"]


def test_no_address_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="at least one address"):
        parse_addresses([])
