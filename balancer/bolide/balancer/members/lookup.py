"""Ask the operating system for the addresses of a host name."""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

__all__ = ["LOOKUP_TIMEOUT_S", "LookUp", "look_up"]

LOOKUP_TIMEOUT_S: Final = 5.0
"""How long an answer is waited for, seconds."""

LookUp: TypeAlias = Callable[[str], Awaitable[tuple[str, ...]]]
"""A host name -> its addresses in a fixed order; OSError if there are none."""


async def look_up(host: str) -> tuple[str, ...]:
    """Return the IPv4 and IPv6 addresses of a name, sorted.

    Raises:
        OSError: If there are none, or no answer in time.
    """
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(LOOKUP_TIMEOUT_S):
        try:
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
        except UnicodeError:  # a label that is empty or too long
            raise socket.gaierror(socket.EAI_NONAME, "not a host name") from None
    return tuple(sorted({str(address[0]) for *_, address in found}))
