"""The members of a replica set, which the driver connects to whatever the URL names."""

import asyncio
import socket
from collections.abc import Iterator, Mapping

# What the server tells.
from typing import Any, Final

from bolide.server.loopback import is_loopback

__all__ = ["remote_member"]

_LISTS: Final = ("hosts", "passives", "arbiters")


async def remote_member(hello: Mapping[str, Any]) -> str | None:
    """Return the host of a member that may be on another machine; None if all are on this one.

    What is begun with a bare ``rs.initiate()`` calls its member by the name of the machine. So a
    name is looked up, and all its addresses must be of this machine.

    Args:
        hello: The answer of one member.
    """
    for host in dict.fromkeys(_hosts(hello)):
        if not is_loopback(host) and not await _is_here(host):
            return host
    return None


def _hosts(hello: Mapping[str, Any]) -> Iterator[str]:
    for name in _LISTS:
        for address in hello.get(name, ()):
            yield str(address).rpartition(":")[0].removeprefix("[").removesuffix("]")


async def _is_here(host: str) -> bool:
    if host.startswith("/"):  # a socket of this machine
        return True
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_DGRAM)
    except OSError:
        return False  # it may be known to others, or later
    return bool(found) and all(_is_own(family, address) for family, *_, address in found)


def _is_own(family: int, address: tuple[Any, ...]) -> bool:
    """Tell whether an address is one of this machine: nobody else's can be bound."""
    if is_loopback(str(address[0])):
        return True
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as anything:
            anything.bind((address[0], 0, *address[2:]))
    except OSError:
        return False
    return True
