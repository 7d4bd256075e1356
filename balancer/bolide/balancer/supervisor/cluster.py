"""What the supervisor knows of all nodes, and the view of it that workers decide by."""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bolide.balancer.health.health import Health, HealthRules
from bolide.balancer.members.member import Member
from bolide.balancer.supervisor.probing import Report
from bolide.balancer.worker.messages import Node, NodeState, Noticed

__all__ = ["Cluster", "NodeRow"]

_logger = logging.getLogger("bolide.balancer")


@dataclass(frozen=True, slots=True)
class NodeRow:
    """One node, for people and programs that watch.

    Attributes:
        name: Of the node.
        address: Host and port.
        state: Whether it gets new sessions.
        is_held: Because the operator wants that.
        is_ejected: Because workers' connections to it failed.
        sessions: As it reported last; None if it does not report.
        connections: Of this balancer.
        weight: Share of new sessions.
        why: Why the last probe failed; empty if it did not.
        probe_failures: How many probes failed.
        probe_s: How long the last one took, seconds; None if there was no answer.
    """

    name: str
    address: str
    state: NodeState
    is_held: bool
    is_ejected: bool
    sessions: int | None
    connections: int
    weight: float
    why: str
    probe_failures: int
    probe_s: float | None


class Cluster:
    """Members and their health.

    Args:
        rules: What it takes to believe that a node is well.
        verify: What a node must prove.

    Attributes:
        probe_failures: Name of a node -> how many probes failed.
    """

    def __init__(self, rules: HealthRules, verify: str) -> None:
        """Begin without nodes."""
        self.probe_failures: Counter[str] = Counter()
        self._health = Health(rules)
        self._verify = verify
        self._members: dict[str, Member] = {}
        self._reports: dict[str, tuple[Report, float]] = {}
        self._states: dict[str, NodeState] = {}

    @property
    def members(self) -> Sequence[Member]:
        """All that are known."""
        return tuple(self._members.values())

    @property
    def has_room(self) -> bool:
        """Whether any node may get new sessions."""
        return any(state in ("up", "probation") for state in self._states.values())

    def use(self, rules: HealthRules, verify: str) -> None:
        """Go by other rules from now on."""
        self._health.use(rules)
        self._verify = verify

    def take(self, members: Sequence[Member]) -> None:
        """Know these members, and no others.

        Those that may not be reached are left out: without TLS all are on loopback.
        """
        good = {member.name: self._reachable(member) for member in members if self._may(member)}
        if len(good) < len(members):
            left_out = len(members) - len(good)
            _logger.error(
                '%d nodes are left out: they are not on loopback, and verify is "off"', left_out
            )
        self._members = good
        self._health.keep(good)
        for gone in self._states.keys() - good.keys():
            _logger.info("node %s: gone", gone)
            del self._states[gone]
            self._reports.pop(gone, None)
            self.probe_failures.pop(gone, None)

    def report(self, report: Report, now: float) -> None:
        """Learn what a probe found.

        Args:
            report: What.
            now: Monotonic time, seconds.
        """
        if report.name not in self._members:
            return
        self._reports[report.name] = (report, now)
        if report.probe == "failed":
            self.probe_failures[report.name] += 1
        if self._health.probed(report.name, report.probe, now, report.run):
            _logger.info("node %s: was started again", report.name)

    def noticed(self, noticed: Noticed, now: float) -> bool:
        """Learn what a worker noticed, at a monotonic time; tells whether a state changed by it."""
        if noticed.node not in self._members:
            return False
        before = self._health[noticed.node].state
        self._health.noticed(noticed, now)
        return self._health[noticed.node].state != before

    def hold(self, name: str, *, until_it_says_so: bool = False) -> Member | None:
        """Give a node nobody new.

        Args:
            name: Of the node.
            until_it_says_so: It was told to drain: it says so itself until it is started again.

        Returns:
            The node; None if it is unknown.
        """
        member = self._members.get(name)
        if member is not None:
            self._health[name].hold(until_it_says_so=until_it_says_so)
        return member

    def is_last(self, name: str) -> bool:
        """Tell whether a node gets new sessions and no other one does."""
        takers = [
            member.name
            for member in self._members.values()
            if member.weight > 0 and self._health[member.name].state in ("up", "probation")
        ]
        return takers == [name]

    def release(self, name: str, now: float) -> Member | None:
        """Give a node what it can take again; returns None if it is unknown."""
        member = self._members.get(name)
        if member is not None:
            self._health[name].release(now)
        return member

    def nodes(self, open_by_node: Mapping[str, int], workers: int, now: float) -> tuple[Node, ...]:
        """Return all nodes, as each worker is to see them.

        Args:
            open_by_node: Name of a node -> connections of all workers.
            workers: How many share a node's limit.
            now: Monotonic time, seconds.
        """
        self._health.tick(now)
        return tuple(
            self._node(member, open_by_node.get(member.name, 0), workers, now)
            for member in self._members.values()
        )

    def rows(self, open_by_node: Mapping[str, int]) -> list[NodeRow]:
        """Return all nodes, for people; names of nodes that left are not among them."""
        rows: list[NodeRow] = []
        for name, member in self._members.items():
            health = self._health[name]
            report = self._reports[name][0] if name in self._reports else Report(name, "failed")
            rows.append(
                NodeRow(
                    name=name,
                    address=str(member.address),
                    state=health.state,
                    is_held=health.is_held,
                    is_ejected=health.is_ejected,
                    sessions=report.sessions,
                    connections=open_by_node.get(name, 0),
                    weight=member.weight,
                    why=report.why,
                    probe_failures=self.probe_failures[name],
                    probe_s=report.took_s,
                )
            )
        return rows

    def _may(self, member: Member) -> bool:
        addresses = (member.address, member.management or member.address)
        return self._verify != "off" or all(address.is_loopback for address in addresses)

    def _reachable(self, member: Member) -> Member:
        if self._verify == "name" and not member.server_name:
            return replace(member, server_name=member.address.host)
        return member

    def _node(self, member: Member, connections: int, workers: int, now: float) -> Node:
        name = member.name
        health = self._health[name]
        state = health.state
        before = self._states.get(name)
        # Before the first probe there is nothing to tell.
        if state != before and name in self._reports:
            _logger.info("node %s: %s", name, state)
            self._states[name] = state
        report, at = self._reports.get(name, (None, now))
        sessions = None if report is None else report.sessions
        if sessions is None:  # it does not tell: what we have to it is what we know
            sessions, at = connections, now
        most = member.max_connections
        return Node(
            name=name,
            host=member.address.host,
            port=member.address.port,
            server_name=member.server_name,
            weight=member.weight,
            state=state,
            sessions=sessions,
            reported_at=at,
            up_since=health.up_since,
            max_connections=max(1, most // workers) if most else 0,
        )
