"""Members behind one host name: each of its addresses is a node.

An answer of DNS says who there is and not who they are, so a node is called by its address:
``node-10-0-0-7``, ``node-fd00--7``. That is the name its certificate must prove with
``verify = "role"``, or whoever controls an answer would choose who gets the clients. With
``verify = "name"`` the certificate must be one for the host name, and all nodes may share it.
"""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence

from bolide.balancer.members.address import Address
from bolide.balancer.members.lookup import LookUp, look_up
from bolide.balancer.members.member import Member

__all__ = ["DNSMembers", "name_of_address"]


class DNSMembers:
    """The addresses of a host name, asked for again and again.

    Args:
        address: The host name, and the port of all nodes.
        management_port: Of all nodes; None: they are asked at their own port.
        weight: Of each.
        max_connections: To each; 0 is no limit.
        interval_s: Time between two questions.
        ask: Knows the addresses of a name.
        wait: Lets time pass, seconds.
    """

    def __init__(
        self,
        address: Address,
        *,
        management_port: int | None = None,
        weight: float = 1.0,
        max_connections: int = 0,
        interval_s: float = 2.0,
        ask: LookUp = look_up,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Keep what to ask for."""
        self._address = address
        self._management_port = management_port
        self._weight = weight
        self._max_connections = max_connections
        self._interval_s = interval_s
        self._ask = ask
        self._wait = wait

    async def watch(self) -> AsyncGenerator[Sequence[Member]]:
        """Yield the members of each answer.

        Raises:
            OSError: If there is none; the last members stay then.
        """
        while True:
            hosts = await self._ask(self._address.host)
            yield [self._member(host) for host in hosts]
            await self._wait(self._interval_s)

    def _member(self, host: str) -> Member:
        management = self._management_port
        return Member(
            name=name_of_address(host),
            address=Address(host, self._address.port),
            management=None if management is None else Address(host, management),
            weight=self._weight,
            max_connections=self._max_connections,
            server_name=self._address.host,
        )


def name_of_address(host: str) -> str:
    """Return what a node is called that is known by its IP address only."""
    return "node-" + host.replace(".", "-").replace(":", "-").replace("%", "-")
