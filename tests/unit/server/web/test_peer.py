from asyncio.transports import BaseTransport
from typing import Any

import pytest

from bolide.core.identity import Identity
from bolide.server.web.peer import PEER, client_of, peer_of

_BALANCER = Identity("ward", "balancer", "b1")
_HEADER = (b"x-forwarded-for", b"203.0.113.7")


class Transport(BaseTransport):
    """A connection from 10.0.0.5, by whom the test says."""

    def __init__(self, peer: Identity | None) -> None:
        super().__init__({"peername": ("10.0.0.5", 4000), **({PEER: peer} if peer else {})})


def test_the_peer_is_who_was_let_in() -> None:
    assert peer_of(Transport(_BALANCER)) == _BALANCER
    assert peer_of(Transport(None)) is None


@pytest.mark.parametrize("peer", [None, Identity("ward", "ops", "ada")])
def test_forwarding_headers_of_others_are_not_believed(peer: Identity | None) -> None:
    assert client_of(Transport(peer), [_HEADER]) == ("10.0.0.5", 4000)


@pytest.mark.parametrize(
    ("value", "client"),
    [
        (b"203.0.113.7", ("203.0.113.7", 0)),
        (b" 203.0.113.7 ", ("203.0.113.7", 0)),
        (b"2001:DB8::1", ("2001:db8::1", 0)),
        (b"203.0.113.7, 10.0.0.1", None),
        (b"203.0.113.7:4000", None),
        (b"unknown", None),
        (b"", None),
        (b"\xff", None),
    ],
)
def test_a_balancer_says_whose_request_it_is(value: bytes, client: Any) -> None:
    headers = [(b"host", b"ward.example.org"), (b"x-forwarded-for", value)]
    assert client_of(Transport(_BALANCER), headers) == client


def test_a_balancer_that_says_nothing_or_too_much_leaves_the_client_unknown() -> None:
    assert client_of(Transport(_BALANCER), []) is None
    assert client_of(Transport(_BALANCER), [_HEADER, _HEADER]) is None
