"""The neighbours: which other nodes there are, told by what they write.

Time is counted in own beats that came back through the store's feed. So nobody is given up
because the store was away, or because this node itself was stopped for a while: then no own beat
comes back either, and what the others wrote meanwhile comes before the next one.
"""

from typing import Final

__all__ = ["MISSED_BEATS", "Neighbours"]

MISSED_BEATS: Final = 3
"""A node that wrote nothing while so many own beats came back is gone."""


class Neighbours:
    """The other nodes, by id."""

    __slots__ = ("_missed",)

    def __init__(self) -> None:
        """Know nobody."""
        self._missed: dict[str, int] = {}

    def __len__(self) -> int:
        """Count them."""
        return len(self._missed)

    @property
    def ids(self) -> list[str]:
        """Their ids, in order of arrival."""
        return list(self._missed)

    def heard(self, node: str) -> bool:
        """Note that a node wrote something; return whether it was not known."""
        is_new = node not in self._missed
        self._missed[node] = 0
        return is_new

    def left(self, node: str) -> None:
        """Forget one that said so; harmless if it is not known."""
        self._missed.pop(node, None)

    def own_beat_came(self) -> list[str]:
        """Count a beat; return the ids of those that are gone by that."""
        gone: list[str] = []
        for node, missed in list(self._missed.items()):
            self._missed[node] = missed + 1
            if missed + 1 >= MISSED_BEATS:
                del self._missed[node]
                gone.append(node)
        return gone
