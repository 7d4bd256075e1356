"""A node as it is known before anybody asked it, and where such knowledge comes from."""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Protocol

from bolide.balancer.members.address import Address

__all__ = ["Member", "MemberSource"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """A node of the cluster.

    Attributes:
        name: That its certificate must prove; unique in the cluster.
        address: Where clients' connections go.
        management: Where it tells how it is; None: it is asked at ``address``.
        weight: Share of new sessions beside other nodes; 0 gets none.
        max_connections: From this balancer; 0 is no limit.
        server_name: Host name for TLS; empty: the host of ``address`` if that is a name.
    """

    name: str
    address: Address
    management: Address | None = None
    weight: float = 1.0
    max_connections: int = 0
    server_name: str = ""


class MemberSource(Protocol):
    """Tells which nodes there are, for as long as it is asked."""

    def watch(self) -> AsyncGenerator[Sequence[Member]]:
        """Yield all members it knows, at once and whenever there are others.

        It is lost when it raises, whatever that is, or ends: what it said last stays true, and it
        is watched anew after a pause. A source that has nothing to say yet waits; an empty
        sequence says that there are no members.
        """
        ...
