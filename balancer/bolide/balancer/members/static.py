"""Members that the operator wrote down."""

import asyncio
from collections.abc import AsyncGenerator, Sequence

from bolide.balancer.members.member import Member

__all__ = ["StaticMembers"]


class StaticMembers:
    """A list that does not change.

    Args:
        members: The list.
    """

    def __init__(self, members: Sequence[Member]) -> None:
        """Keep it."""
        self._members = tuple(members)

    async def watch(self) -> AsyncGenerator[Sequence[Member]]:
        """Yield the list, and then wait."""
        yield self._members
        await asyncio.Event().wait()
