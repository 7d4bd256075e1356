"""The other nodes' members, as these tell of them. Sans-I/O.

A node tells of each change with a *version*, one more than the last, and now and then of its
version alone. Whoever sees that it missed a version asks, and is told of all members. A node from
which nothing came for some rounds is gone, and its members with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bolide.server.presence.member import Member

__all__ = ["MISSED_ROUNDS", "Difference", "Peers"]

MISSED_ROUNDS: Final = 3
"""A node that was silent for so many rounds is gone."""


@dataclass(frozen=True, slots=True)
class Difference:
    """What became of the members of a node.

    Attributes:
        joined: Who came, or is told otherwise of now.
        left: The ids of those who left.
    """

    joined: Sequence[Member] = ()
    left: Sequence[str] = ()


@dataclass(slots=True)
class _Peer:
    """A node.

    Attributes:
        version: How far its members are known; None: not at all.
        members: Its members by id.
        silent_rounds: How many rounds nothing came.
        parts: What came of a list that is not complete.
        parts_version: The version of that list.
    """

    version: int | None = None
    members: dict[str, Member] = field(default_factory=dict[str, Member])
    silent_rounds: int = 0
    parts: list[Member] = field(default_factory=list[Member])
    next_part: int = 0
    parts_version: int = 0


class Peers:
    """The other nodes by id.

    Attributes:
        unknown: Those whose members must be asked for.
    """

    __slots__ = ("_peers", "unknown")

    def __init__(self) -> None:
        """Know nobody."""
        self._peers: dict[str, _Peer] = {}
        self.unknown: set[str] = set()

    def __len__(self) -> int:
        """Count the nodes that have members."""
        return sum(1 for peer in self._peers.values() if peer.members)

    def changed(
        self, node: str, version: int, count: int, joined: Sequence[Member], left: Sequence[str]
    ) -> Difference:
        """Take a change.

        Args:
            node: Whose members changed.
            version: Of its members after it.
            count: How many it has after it.
            joined: Who came or changed.
            left: The ids of those who left.
        """
        peer = self._heard(node)
        if peer.version is None and count == len(joined):
            return self._replace(node, peer, version, joined)  # these are all there are
        if peer.version is None or version > peer.version + 1:
            self.unknown.add(node)
            return Difference()
        if version <= peer.version:
            return Difference()
        peer.version = version
        for member in joined:
            peer.members[member.id] = member
        gone = [id for id in left if peer.members.pop(id, None) is not None]
        return Difference(joined, gone)

    def beat(self, node: str, version: int) -> None:
        """Learn that a node is there, and which version it has."""
        if self._heard(node).version != version:
            self.unknown.add(node)

    def listed(
        self, node: str, version: int, part: int, parts: int, members: Sequence[Member]
    ) -> Difference:
        """Take a part of the list of all members of a node; parts come one after the other.

        Args:
            node: Whose members.
            version: Of its members.
            part: Number of the part, from 0.
            parts: How many there are.
            members: Those of this part.
        """
        peer = self._heard(node)
        if part == 0:
            peer.parts, peer.next_part, peer.parts_version = [], 0, version
        if part != peer.next_part or version != peer.parts_version:
            self.unknown.add(node)
            return Difference()
        peer.parts.extend(members)
        peer.next_part += 1
        if peer.next_part < parts:
            return Difference()
        whole, peer.parts = peer.parts, []
        return self._replace(node, peer, version, whole)

    def end_round(self) -> Difference:
        """Let a round end; returns the members of nodes that are gone by that."""
        left: list[str] = []
        for node, peer in list(self._peers.items()):
            peer.silent_rounds += 1
            if peer.silent_rounds >= MISSED_ROUNDS:
                left.extend(peer.members)
                del self._peers[node]
                self.unknown.discard(node)
        return Difference(left=left)

    def _heard(self, node: str) -> _Peer:
        peer = self._peers.setdefault(node, _Peer())
        peer.silent_rounds = 0
        return peer

    def _replace(
        self, node: str, peer: _Peer, version: int, members: Sequence[Member]
    ) -> Difference:
        before, peer.members = peer.members, {member.id: member for member in members}
        peer.version = version
        self.unknown.discard(node)
        return Difference(
            [member for member in members if before.get(member.id) != member],
            [id for id in before if id not in peer.members],
        )
