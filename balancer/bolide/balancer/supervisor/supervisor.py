"""The supervisor: sockets, workers, nodes, and the operator's wishes, brought together."""

import asyncio
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from time import monotonic
from typing import ClassVar, Final

import msgspec

from bolide.balancer.members.dns import DNSMembers
from bolide.balancer.members.member import Member, MemberSource
from bolide.balancer.members.membership import Membership
from bolide.balancer.members.static import StaticMembers
from bolide.balancer.settings.errors import SettingRefused
from bolide.balancer.settings.settings import BalancerSettings
from bolide.balancer.supervisor.cluster import Cluster, NodeRow
from bolide.balancer.supervisor.configuration import (
    configuration_of,
    node_tls_of,
    worker_count_of,
)
from bolide.balancer.supervisor.listeners import Listeners
from bolide.balancer.supervisor.node_client import NodeClient
from bolide.balancer.supervisor.probing import Prober, Report
from bolide.balancer.supervisor.worker_pool import WorkerPool
from bolide.balancer.tls.node_context import NodeContext
from bolide.balancer.worker.messages import Noticed, View
from bolide.core.errors import BolideError

__all__ = [
    "Drained",
    "LastNode",
    "MoreSources",
    "Supervisor",
    "UnknownNode",
    "WorkersRefused",
]

MoreSources = Callable[[BalancerSettings], Mapping[str, MemberSource]]
"""Makes sources of members that the balancer cannot make itself, such as a registry's."""

_VIEW_PAUSE_S: Final = 0.1
"""Workers are told a view at most so often."""
_ON_THE_WAY_S: Final = 0.25
"""How long what a worker began before it saw a view may take to reach a node."""
_COOKIE_KEY_BYTES: Final = 32
_OK: Final = 200

_logger = logging.getLogger("bolide.balancer")


class WorkersRefused(BolideError):
    """Workers cannot work as the settings say."""

    code: ClassVar[str] = "workers-refused"

    def __init__(self, problems: Sequence[str]) -> None:
        """Keep what they said."""
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        """Say what workers said."""
        return f"No worker can work like this: {'; '.join(sorted(set(self.problems)))}"


class UnknownNode(BolideError):
    """A node that the balancer does not know."""

    code: ClassVar[str] = "unknown-node"

    def __init__(self, known: Sequence[str]) -> None:
        """Keep the names of those that it knows."""
        super().__init__(known)
        self.known = known

    def __str__(self) -> str:
        """Say which nodes there are."""
        return f"There is no such node. There are: {', '.join(self.known) or 'none'}."


class LastNode(BolideError):
    """A node is not drained, because its clients would have nowhere to go."""

    code: ClassVar[str] = "last-node"

    def __init__(self, node: str) -> None:
        """Keep its name."""
        super().__init__(node)
        self.node = node

    def __str__(self) -> str:
        """Say why, and what to do."""
        return (
            f"{self.node} is the only node that gets new sessions: its clients would have nowhere"
            " to go. Let another one come first, or force it with --force."
        )


class Drained(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a wish that a node be drained.

    Attributes:
        node: Its name.
        told: Whether the node was told, and asks its clients to go elsewhere.
        sessions: How many it had; None if it did not say.
        problem: Why it was not told; empty if it was.
    """

    node: str
    told: bool
    sessions: int | None = None
    problem: str = ""


class Supervisor:
    """One balancer.

    Args:
        settings: How it runs.
        listeners: Where workers accept; open.
        command: Program of a worker and its arguments.
        environment: Of a worker.
        more_sources: Makes further sources of members.

    Attributes:
        pool: Its workers.
        cluster: Its nodes.
        is_retiring: It is about to end.
        reloads: Outcome -> how often the settings were read again.
        views: How many views workers were told.
        began: When, monotonic time in seconds.

    Raises:
        ConfigurationError: If certificates cannot be used.
    """

    def __init__(
        self,
        settings: BalancerSettings,
        listeners: Listeners,
        *,
        command: Sequence[str],
        environment: Mapping[str, str],
        more_sources: MoreSources,
    ) -> None:
        """Begin without workers and nodes."""
        self.is_retiring = False
        self.reloads = {"done": 0, "refused": 0}
        self.views = 0
        self.began = monotonic()
        self.settings = settings
        self.pool = WorkerPool(command, environment, listeners.kinds, self._noticed)
        self.cluster = Cluster(settings.health, settings.nodes.verify)
        self._listeners = listeners
        self._more_sources = more_sources
        self._made_key = os.urandom(_COOKIE_KEY_BYTES)
        self._client = _client_of(settings)
        self._prober = Prober(
            self._reported,
            self._client,
            path=settings.health.path,
            interval_s=settings.health.interval_s,
        )
        self._membership: Membership = self._new_membership(settings)
        self._following: asyncio.Task[None] | None = None
        self._telling: asyncio.Task[None] | None = None
        self._has_news = asyncio.Event()
        self._unheard: set[str] | None = None
        self._all_heard = asyncio.Event()
        self._configuring = asyncio.Lock()

    # Its life

    async def start(self) -> None:
        """Learn of nodes and let workers work; clients wait in the sockets meanwhile.

        Raises:
            WorkersRefused: If workers cannot.
        """
        settings = self.settings
        self._following = asyncio.create_task(self._membership.run())
        self._telling = asyncio.create_task(self._tell_views())
        with suppress(TimeoutError):
            async with asyncio.timeout(settings.health.timeout_s + 1):
                await self._all_heard.wait()
        self._tell_view()
        async with self._configuring:
            await self._configure(settings)

    async def reload(self, read: Callable[[], BalancerSettings]) -> bool:
        """Work by other settings from now on; returns False if they are refused.

        What is wrong is told in the log, and nothing changes then.

        Args:
            read: Reads the settings.
        """
        async with self._configuring:
            if self.is_retiring:
                return False
            try:
                settings = read()
                _check_unchanged(self.settings, settings)
                client = _client_of(settings)
                await self._configure(settings)
            except (BolideError, OSError) as error:
                self.reloads["refused"] += 1
                _logger.error("the settings were read again and are refused: %s", error)
                return False
            before, self.settings = self.settings, settings
            self._client = client
            health = settings.health
            self._prober.use(client, path=health.path, interval_s=health.interval_s)
            self.cluster.use(health, settings.nodes.verify)
            if (settings.nodes, settings.denied) != (before.nodes, before.denied):
                await self._follow_others(settings)
            self._has_news.set()
            self.reloads["done"] += 1
            _logger.info("the settings were read again")
            return True

    async def _configure(self, settings: BalancerSettings) -> None:
        """Let workers work by these settings.

        Raises:
            WorkersRefused: If they cannot; they go on as they did.
        """
        configuration = configuration_of(settings, self._listeners)
        count = worker_count_of(settings)
        if problems := await self.pool.configure(configuration, count, settings.drain_s):
            raise WorkersRefused(problems)

    async def retire(self) -> None:
        """Take no new connections, and wait until the last one has ended or its time is over."""
        self.is_retiring = True
        await self.pool.retire(self.settings.drain_s)

    async def close(self) -> None:
        """End everything at once."""
        self.pool.kill()
        await self.pool.retire(0.0)
        await self._prober.close()
        for task in (self._following, self._telling):
            if task is not None:
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task

    # What the operator asks

    @property
    def is_ready(self) -> bool:
        """Whether clients that come are taken to a node."""
        return not self.is_retiring and self.pool.ready_count > 0 and self.cluster.has_room

    @property
    def lost_sources(self) -> set[str]:
        """Names of the sources of members that cannot be asked."""
        return self._membership.lost

    def rows(self) -> list[NodeRow]:
        """Return all nodes, for people."""
        return self.cluster.rows(self.pool.open_by_node())

    async def drain(self, name: str, within_s: float, *, is_forced: bool = False) -> Drained:
        """Give a node nobody new, and tell it to send its clients elsewhere.

        Args:
            name: Of the node.
            within_s: The time that it may take.
            is_forced: Also if there is no elsewhere.

        Raises:
            UnknownNode: If there is none.
            LastNode: If no other one gets new sessions.
        """
        if self.cluster.is_last(name) and not is_forced:
            raise LastNode(name)
        member = self.cluster.hold(name)
        if member is None:
            raise self._unknown()
        _logger.info("node %s: is to be drained within %g s", name, within_s)
        self._tell_view()
        if member.management is None:
            return Drained(node=name, told=False, problem="it has no management listener")
        # A node refuses new sessions from the moment it is told: nothing may be on its way then.
        with suppress(TimeoutError):
            await self.pool.all_see()
        await asyncio.sleep(_ON_THE_WAY_S)
        try:
            answer = await self._client.ask(
                name,
                member.management,
                "/drain",
                server_name=member.server_name,
                method="POST",
                body=msgspec.json.encode({"within": within_s}),
            )
        except (OSError, BolideError) as error:
            return Drained(node=name, told=False, problem=f"no answer: {type(error).__name__}")
        if answer.status != _OK:
            return Drained(node=name, told=False, problem=f"it answered {answer.status}")
        self.cluster.hold(name, until_it_says_so=True)
        with suppress(msgspec.DecodeError):
            said = msgspec.json.decode(answer.body, type=_Sessions)
            return Drained(node=name, told=True, sessions=said.sessions)
        return Drained(node=name, told=True)

    def undrain(self, name: str) -> None:
        """Give a node what it can take again.

        Raises:
            UnknownNode: If there is none.
        """
        if self.cluster.release(name, monotonic()) is None:
            raise self._unknown()
        self._has_news.set()
        _logger.info("node %s: may get sessions again", name)

    def _unknown(self) -> UnknownNode:
        return UnknownNode([member.name for member in self.cluster.members])

    # What there is to learn

    def _new_membership(
        self, settings: BalancerSettings, before: Membership | None = None
    ) -> Membership:
        nodes = settings.nodes
        sources: dict[str, MemberSource] = {}
        if nodes.static:
            sources["nodes.static"] = StaticMembers(nodes.static)
        for dns in nodes.dns:
            sources[f"nodes.dns {dns.address}"] = DNSMembers(
                dns.address,
                management_port=dns.management_port,
                weight=dns.weight,
                max_connections=dns.max_connections,
                interval_s=nodes.lookup_interval_s,
            )
        sources |= self._more_sources(settings)
        return Membership(
            sources,
            self._members_changed,
            before=before,
            interval_s=nodes.lookup_interval_s,
        )

    async def _follow_others(self, settings: BalancerSettings) -> None:
        """Follow other sources; what those that stay said holds until they say it again."""
        assert self._following is not None
        self._following.cancel()
        with suppress(asyncio.CancelledError):
            await self._following
        self._membership = self._new_membership(settings, self._membership)
        self._following = asyncio.create_task(self._membership.run())

    def _members_changed(self, members: Sequence[Member]) -> None:
        self.cluster.take(members)
        self._prober.keep(self.cluster.members)
        if self._unheard is None:
            self._unheard = {member.name for member in self.cluster.members}
        self._has_news.set()

    def _reported(self, report: Report) -> None:
        self.cluster.report(report, monotonic())
        if self._unheard is not None:
            self._unheard.discard(report.name)
            if not self._unheard:
                self._all_heard.set()
        self._has_news.set()

    def _noticed(self, noticed: Noticed) -> None:
        if self.cluster.noticed(noticed, monotonic()):
            self._has_news.set()

    async def _tell_views(self) -> None:
        while True:
            await self._has_news.wait()
            self._has_news.clear()
            self._tell_view()
            await asyncio.sleep(_VIEW_PAUSE_S)

    def _tell_view(self) -> None:
        self.views += 1
        workers = worker_count_of(self.settings)
        nodes = self.cluster.nodes(self.pool.open_by_node(), workers, monotonic())
        keys = self.settings.cookie_keys or (self._made_key,)
        self.pool.see(
            View(version=self.views, nodes=nodes, cookie_keys=tuple(key.hex() for key in keys))
        )


class _Sessions(msgspec.Struct):
    sessions: int | None = None


def _client_of(settings: BalancerSettings) -> NodeClient:
    context = NodeContext(node_tls_of(settings), settings.cluster)
    return NodeClient(context, timeout_s=settings.health.timeout_s)


def _check_unchanged(before: BalancerSettings, after: BalancerSettings) -> None:
    """Refuse what workers inherited, and where the operator connects, to be otherwise.

    Raises:
        SettingRefused: If one of them is.
    """
    for name in ("listen", "proxied_listen", "redirect", "management"):
        old, new = getattr(before, name), getattr(after, name)
        if old != new:
            shown = new if isinstance(new, str) else [str(address) for address in new]
            expected = "as it was while the balancer runs: restart it to change this"
            raise SettingRefused(after.file, None, name, shown, expected)
