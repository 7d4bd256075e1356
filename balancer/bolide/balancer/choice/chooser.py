"""Choose the node of a new connection, by a view that is the same for all workers.

``two-choices``: of two candidates drawn at random, a heavier one more often, the one with fewer
sessions for its weight wins (Mitzenmacher 2001, "The power of two choices in randomized load
balancing"). Always taking the least busy node would send every worker's connections to the same
one until its next report. What this worker opened since the report counts along.

``round-robin``: smooth weighted round robin, as nginx does it: a node of weight 3 beside one of
weight 1 gets A A B A and not A A A B. Workers begin at different places.

A node that came back gets a tenth of its share at first and all of it after ``slow_start_s``. One
in probation gets a connection whenever it is drawn and has none: there is no other way to learn
whether it works.
"""

from collections.abc import Sequence
from random import Random
from typing import Final, Literal, TypeAlias

from bolide.balancer.worker.messages import Node

__all__ = ["Chooser", "Policy"]

Policy: TypeAlias = Literal["two-choices", "round-robin"]

_START: Final = 0.1
"""Share of its weight that a node begins with."""


class Chooser:
    """Knows the nodes, and how many connections this worker has to each.

    Args:
        policy: How one is chosen.
        slow_start_s: How long a node that came back gets less than its share; 0 is not at all.
        rng: Where chance comes from.
    """

    def __init__(self, policy: Policy, *, slow_start_s: float, rng: Random) -> None:
        """Begin without nodes."""
        self._rng = rng
        self._nodes: dict[str, Node] = {}
        self._open: dict[str, int] = {}
        # Connections since the last report of a node, less those of them that ended.
        self._since: dict[str, int] = {}
        # Of round robin: what each node is owed.
        self._owed: dict[str, float] = {}
        self.use(policy, slow_start_s=slow_start_s)

    def use(self, policy: Policy, *, slow_start_s: float) -> None:
        """Choose otherwise from now on."""
        self._pick_one = self._two_choices if policy == "two-choices" else self._round_robin
        self._slow_start_s = slow_start_s

    def see(self, nodes: Sequence[Node]) -> None:
        """Take a new view; own connections, to nodes that left too, stay counted.

        Args:
            nodes: All that are known.
        """
        known, self._nodes = self._nodes, {node.name: node for node in nodes}
        for name, node in self._nodes.items():
            if name not in known or known[name].reported_at != node.reported_at:
                self._since[name] = 0
        for gone in known.keys() - self._nodes.keys():
            self._since.pop(gone, None)
            self._owed.pop(gone, None)

    def pick(self, now: float, *, avoid: frozenset[str] = frozenset()) -> Node | None:
        """Choose a node for a client that has none.

        Args:
            now: Monotonic time, seconds.
            avoid: Names of nodes that were tried already.

        Returns:
            The node; None if none may get one more connection.
        """
        candidates = [
            node
            for node in self._nodes.values()
            if _takes_new(node) and self._has_room(node) and node.name not in avoid
        ]
        return self._pick_one(candidates, now) if candidates else None

    def sticky(self, name: str, now: float) -> Node | None:
        """Return the node of a client that has one, if it may get a new connection of this client.

        A node of weight 0 keeps the clients it has.

        Args:
            name: Of the node.
            now: Monotonic time, seconds.

        Returns:
            The node; None if it is unknown, draining, down, or has no room.
        """
        node = self._nodes.get(name)
        if node is None or node.state not in ("up", "probation") or not self._has_room(node):
            return None
        return node

    def keeps(self, name: str) -> Node | None:
        """Return the node of an open connection, if another request may go over that.

        Args:
            name: Of the node.

        Returns:
            The node, whether it has room for others or not; None if it is unknown, draining or
            down.
        """
        node = self._nodes.get(name)
        return node if node is not None and node.state in ("up", "probation") else None

    def is_full(self, avoid: frozenset[str] = frozenset()) -> bool:
        """Tell whether waiting makes sense: there are nodes, and all of them have no room.

        Args:
            avoid: Names of nodes that were tried already.
        """
        nodes = [
            node for node in self._nodes.values() if _takes_new(node) and node.name not in avoid
        ]
        return bool(nodes) and not any(map(self._has_room, nodes))

    def opened(self, name: str) -> None:
        """Count a connection to a node, from the moment it is tried."""
        self._open[name] = self._open.get(name, 0) + 1
        if name in self._since:
            self._since[name] += 1

    def closed(self, name: str) -> None:
        """Count the end of one."""
        self._open[name] -= 1
        if not self._open[name]:
            del self._open[name]
        if self._since.get(name):
            self._since[name] -= 1

    def open_by_node(self) -> dict[str, int]:
        """Return how many connections there are: name of a node -> number, without zeros."""
        return dict(self._open)

    def _has_room(self, node: Node) -> bool:
        count = self._open.get(node.name, 0)
        if node.state == "probation":
            return count == 0
        return not node.max_connections or count < node.max_connections

    def _weight(self, node: Node, now: float) -> float:
        """Return the weight of a node in its slow start."""
        if self._slow_start_s <= 0 or node.state == "probation":
            return node.weight
        grown = (now - node.up_since) / self._slow_start_s
        return node.weight * min(1.0, _START + (1 - _START) * max(0.0, grown))

    def _two_choices(self, candidates: list[Node], now: float) -> Node:
        if len(candidates) == 1:
            return candidates[0]
        weights = [self._weight(node, now) for node in candidates]
        first = self._draw(candidates, weights)
        if candidates[first].state == "probation":
            return candidates[first]
        first_weight, weights[first] = weights[first], 0.0
        second = self._draw(candidates, weights)
        if candidates[second].state == "probation":
            return candidates[second]
        first_load = self._load(candidates[first], first_weight)
        second_load = self._load(candidates[second], weights[second])
        return candidates[first if first_load <= second_load else second]

    def _draw(self, candidates: list[Node], weights: list[float]) -> int:
        (drawn,) = self._rng.choices(range(len(candidates)), weights)
        return drawn

    def _load(self, node: Node, weight: float) -> float:
        """Return what one more connection would make of it."""
        return (node.sessions + self._since[node.name] + 1) / weight

    def _round_robin(self, candidates: list[Node], now: float) -> Node:
        total = 0.0
        for node in candidates:
            weight = self._weight(node, now)
            total += weight
            owed = self._owed.get(node.name)
            if owed is None:
                owed = self._rng.random() * weight
            self._owed[node.name] = owed + weight
        chosen = max(candidates, key=lambda node: self._owed[node.name])
        self._owed[chosen.name] -= total
        return chosen


def _takes_new(node: Node) -> bool:
    return node.weight > 0 and node.state in ("up", "probation")
