"""Agree on the version of DDP that a session speaks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

__all__ = ["VERSIONS", "Accepted", "Refused", "negotiate"]

VERSIONS: Final = ("1", "pre2", "pre1")
"""What we speak, best first."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The session speaks ``version``."""

    version: str


@dataclass(frozen=True, slots=True)
class Refused:
    """No session; the client may try again with ``version``."""

    version: str


def negotiate(version: str | None, support: Sequence[str]) -> Accepted | Refused:
    """Answer a ``connect``.

    The client's preference decides: the first version in ``support`` that we speak is what it
    should have asked for.

    Args:
        version: What it asked for; None if its message was malformed.
        support: What it could speak, preferred first.

    Follows Meteor's ``calculateVersion`` in ``ddp-server``.
    """
    if version is None or version not in support:
        return Refused(VERSIONS[0])
    best = next((offered for offered in support if offered in VERSIONS), VERSIONS[0])
    return Accepted(best) if version == best else Refused(best)
