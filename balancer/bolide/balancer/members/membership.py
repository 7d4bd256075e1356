"""All members of all sources, with addresses in the place of host names."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import replace
from typing import Final

from bolide.balancer.members.lookup import LookUp, look_up
from bolide.balancer.members.member import Member, MemberSource

__all__ = ["MAX_MEMBERS", "Membership"]

MAX_MEMBERS: Final = 500
"""Further ones are left out: a view goes to every worker as one message."""

_FIRST_PAUSE_S: Final = 1.0
_LONGEST_PAUSE_S: Final = 30.0

_logger = logging.getLogger("bolide.balancer")


class Membership:
    """Follows sources; the last view of one that is lost is kept.

    Args:
        sources: What an operator calls it -> source; of two members with the same name the one of
            the earlier source is taken.
        on_change: Called with all members when they are others.
        before: What followed these sources, or some of them, until now: its views are kept until
            there are others.
        interval_s: Time between two questions for the address of a host name.
        ask: Knows the addresses of a name.
        wait: Lets time pass, seconds.

    Attributes:
        lost: Names of sources that are lost.
    """

    def __init__(
        self,
        sources: Mapping[str, MemberSource],
        on_change: Callable[[tuple[Member, ...]], None],
        *,
        before: "Membership | None" = None,
        interval_s: float = 5.0,
        ask: LookUp = look_up,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """Begin without members."""
        self.lost: set[str] = set()
        self._sources = sources
        self._on_change = on_change
        self._interval_s = interval_s
        self._ask = ask
        self._wait = wait
        self._views: dict[str, Sequence[Member]] = {name: () for name in sources}
        self._addresses: dict[str, str] = {}
        if before is not None:
            self._views = {name: before._views.get(name, ()) for name in sources}
            self._addresses = dict(before._addresses)
        self._members: tuple[Member, ...] | None = None
        self._left_out: frozenset[str] = frozenset()
        self._has_news = asyncio.Event()

    async def run(self) -> None:
        """Follow all sources until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, source in self._sources.items():
                tasks.create_task(self._follow(name, source))
            tasks.create_task(self._look_up_hosts())

    async def _follow(self, name: str, source: MemberSource) -> None:
        pause_s = _FIRST_PAUSE_S
        while True:
            try:
                async with aclosing(source.watch()) as views:
                    async for view in views:
                        pause_s = _FIRST_PAUSE_S
                        self._take(name, view)
                why = "it ended"
            except Exception as error:
                why = type(error).__name__
            if name not in self.lost:
                self.lost.add(name)
                count = len(self._views[name])
                _logger.warning(
                    "the members of %s cannot be had (%s); the last %d are kept", name, why, count
                )
            await self._wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)

    def _take(self, name: str, view: Sequence[Member]) -> None:
        if name in self.lost:
            self.lost.discard(name)
            _logger.info("the members of %s can be had again", name)
        self._views[name] = view
        if self._unknown_hosts():
            self._has_news.set()
        self._merge()

    def _unknown_hosts(self) -> set[str]:
        return self._hosts() - self._addresses.keys()

    def _hosts(self) -> set[str]:
        return {
            address.host
            for view in self._views.values()
            for member in view
            for address in (member.address, member.management)
            if address is not None and not address.is_literal
        }

    async def _look_up_hosts(self) -> None:
        """Ask for new host names at once, and for all of them again and again."""
        waiting = asyncio.ensure_future(self._wait(self._interval_s))
        try:
            while True:
                news = asyncio.ensure_future(self._has_news.wait())
                try:
                    await asyncio.wait((waiting, news), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    news.cancel()
                self._has_news.clear()
                hosts = self._hosts() if waiting.done() else self._unknown_hosts()
                if waiting.done():
                    waiting = asyncio.ensure_future(self._wait(self._interval_s))
                await asyncio.gather(*map(self._look_up, sorted(hosts)))
                self._merge()
        finally:
            waiting.cancel()

    async def _look_up(self, host: str) -> None:
        """Learn the address of a host; of several the one that is known already stays."""
        try:
            found = await self._ask(host)
        except OSError as error:
            if host not in self._addresses:
                _logger.warning("%s has no address (%s)", host, type(error).__name__)
            return
        if found and self._addresses.get(host) not in found:
            self._addresses[host] = found[0]

    def _merge(self) -> None:
        merged: dict[str, Member] = {}
        left_out: set[str] = set()
        for view in self._views.values():
            for member in view:
                found = self._found(member)
                if found is None or (len(merged) == MAX_MEMBERS and member.name not in merged):
                    left_out.add(member.name)
                else:
                    merged.setdefault(member.name, found)
        self._tell_left_out(frozenset(left_out - merged.keys()))
        members = tuple(merged.values())
        if members != self._members:
            self._members = members
            self._on_change(members)

    def _found(self, member: Member) -> Member | None:
        """Return a member with addresses in the place of names; None if one is not known yet."""
        host = member.address.host
        address, management = member.address, member.management
        if not address.is_literal:
            if host not in self._addresses:
                return None
            address = replace(address, host=self._addresses[host])
        if management is not None and not management.is_literal:
            if management.host not in self._addresses:
                return None
            management = replace(management, host=self._addresses[management.host])
        server_name = member.server_name or ("" if member.address.is_literal else host)
        return replace(member, address=address, management=management, server_name=server_name)

    def _tell_left_out(self, names: frozenset[str]) -> None:
        if names - self._left_out:
            _logger.warning(
                "%d members are left out: their addresses are not known, or there are more than %d",
                len(names),
                MAX_MEMBERS,
            )
        self._left_out = names
