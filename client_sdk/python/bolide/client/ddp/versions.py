"""Which version of DDP a client offers next.

Sans-I/O. A server that speaks another version says which, and is offered that one on the next
connection; one that wants each in turn is refused.
"""

from typing import Final

__all__ = ["VERSIONS", "VersionOffers"]

VERSIONS: Final = ("1", "pre2")
"""Versions of DDP this client speaks, preferred first. "pre1" has no heartbeat: a dead server
would look like a silent one."""


class VersionOffers:
    """What was offered since the last session."""

    __slots__ = ("_next", "_offered")

    def __init__(self) -> None:
        """Begin with the preferred version."""
        self._next = VERSIONS[0]
        self._offered: list[str] = []

    def offer(self) -> tuple[str, tuple[str, ...]]:
        """Return the version to offer, and all that are supported, this one first."""
        self._offered.append(self._next)
        return self._next, (self._next, *(one for one in VERSIONS if one != self._next))

    def accepted(self) -> None:
        """The server has opened a session."""
        self._offered.clear()

    def refused(self, wanted: str) -> bool:
        """The server wants another version; tell whether it is to be offered next.

        Otherwise the server speaks none of ours, and the preferred one is offered next.
        """
        if wanted in VERSIONS and wanted not in self._offered:
            self._next = wanted
            return True
        self._offered.clear()
        self._next = VERSIONS[0]
        return False
