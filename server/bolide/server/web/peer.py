"""Who is at the other end of a connection, and for whom it speaks.

A node that asks for certificates knows a balancer of its cluster when it sees one. Such a
balancer removes whatever forwarding headers a client sent and sets one of its own, so on its
connection, and on no other, the client's address is the one in ``X-Forwarded-For``.
"""

from asyncio.transports import BaseTransport
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final

from uvicorn.protocols.utils import get_remote_addr

from bolide.core.identity import Identity

__all__ = ["PEER", "client_of", "peer_of"]

PEER: Final = "bolide.peer"
"""Name of the peer's :class:`~bolide.core.identity.Identity` in what a transport tells, and in
the scope of a request; it is there if certificates are asked for."""

_FORWARDED_FOR: Final = b"x-forwarded-for"


def peer_of(transport: BaseTransport) -> Identity | None:
    """Return whom the peer's certificate names, None if it was not asked for one.

    Args:
        transport: Of the connection.
    """
    peer: Identity | None = transport.get_extra_info(PEER)
    return peer


def client_of(
    transport: BaseTransport, headers: Iterable[tuple[bytes, bytes]]
) -> tuple[str, int] | None:
    """Return address and port of the client, None if they are not known.

    Args:
        transport: Of the connection.
        headers: Of the request, names in small letters. They are believed from a balancer only;
            the port is 0 then. One that names no client, or several, is not guessed about.
    """
    peer = peer_of(transport)
    if peer is None or peer.role != "balancer":
        return get_remote_addr(transport)  # type: ignore[arg-type]  # it asks for no more than this
    values = [value for name, value in headers if name == _FORWARDED_FOR]
    if len(values) != 1:
        return None
    try:
        return str(ip_address(values[0].decode("ascii").strip())), 0
    except ValueError:
        return None
