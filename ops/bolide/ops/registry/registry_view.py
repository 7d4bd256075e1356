"""What the announcements in the store come to: which nodes there are.

Theory of operation. A document counts if a node of the cluster has signed it. The first one of a
node must be fresh by our clock, within :data:`TOLERANCE_S`; from then on clocks do not matter: a
later one must be newer than the one before, by boot and number, and a node that does not write
while the store answers :data:`MISSED_READS` times is gone. Readings are counted and not time, so
that a store that was away takes nobody away: nodes could not write either. A node that says
goodbye is gone at once. What was seen of a node is remembered when it is gone, so that a copy of
an old announcement brings nobody back.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

# Values of documents have no static type.
from typing import Any, Final

from cryptography import x509

from bolide.balancer.members.address import parse_address
from bolide.balancer.members.member import Member
from bolide.server.registry.announcement import (
    Announcement,
    BadAnnouncement,
    document_id,
    verify,
)
from bolide.server.registry.announcer import LASTS_S

__all__ = ["MAX_REMEMBERED", "MISSED_READS", "TOLERANCE_S", "RegistryView"]

MISSED_READS: Final = 8
"""Readings without news after which a node is gone."""
TOLERANCE_S: Final = 30.0
"""How far the clock of a node may be off, seconds."""
MAX_REMEMBERED: Final = 10_000
"""Of how many nodes something is remembered; further ones are left out."""

_MAX_WEIGHT: Final = 1_000.0
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_TOLERANCE: Final = timedelta(seconds=TOLERANCE_S)

_logger = logging.getLogger("bolide.balancer")


@dataclass(slots=True)
class _Seen:
    """A node.

    Attributes:
        document: Its last announcement as it was found.
        order: Boot and number of that.
        member: What it says; None once it is gone.
        ends: When its certificate ends, UTC.
        missed: Readings without news.
    """

    document: Mapping[str, Any]
    order: tuple[int, int]
    member: Member | None
    ends: datetime
    missed: int = 0


class RegistryView:
    """The nodes of a cluster, by what was read of the store.

    Args:
        cluster: Its name.
        authorities: Whose signatures are believed.
        denied: Fingerprints of certificates that are refused.
        wall: The time of day, UTC.
    """

    def __init__(
        self,
        cluster: str,
        authorities: Sequence[x509.Certificate],
        denied: frozenset[str],
        *,
        wall: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        """Know nobody."""
        self._cluster = cluster
        self._authorities = authorities
        self._denied = denied
        self._wall = wall
        self._seen: dict[str, _Seen] = {}
        self._refused: dict[object, str] = {}

    def resume(self) -> None:
        """Learn that the store was away: nobody could write meanwhile."""
        for seen in self._seen.values():
            seen.missed = 0

    def receive(self, documents: Sequence[Mapping[str, Any]]) -> tuple[Member, ...]:
        """Take what the store holds now, and return the members, by name.

        Args:
            documents: All of the collection.
        """
        now = self._wall()
        for seen in self._seen.values():
            seen.missed += 1
        for document in documents:
            try:
                self._take(document, now)
            except _Refused as error:
                self._tell(document.get("_id"), str(error))
        members = [
            seen.member
            for seen in self._seen.values()
            if seen.member is not None and seen.missed < MISSED_READS and now < seen.ends
        ]
        return tuple(sorted(members, key=lambda member: member.name))

    def _take(self, document: Mapping[str, Any], now: datetime) -> None:
        """Take one document.

        Raises:
            _Refused: If it is not to be believed; what was known of the node stays.
        """
        known = self._seen.get(str(document.get("_id")))
        if known is not None and known.document == document:
            return
        try:
            verified = verify(
                document,
                cluster=self._cluster,
                authorities=self._authorities,
                denied=self._denied,
                now=now,
            )
        except BadAnnouncement as error:
            raise _Refused(error.reason) from None
        announcement = verified.announcement
        order = announcement.boot, announcement.seq
        if known is not None and order <= known.order:
            raise _Refused("older")
        if _time(announcement.boot) > now + _TOLERANCE:
            raise _Refused("clock")  # it would be the newest until that time came
        if known is None:
            self._check_first(announcement, now)
        member = None if announcement.exp == 0 else _member(announcement)
        name = document_id(announcement.cluster, announcement.node)
        self._seen[name] = _Seen(document, order, member, verified.ends)

    def _check_first(self, announcement: Announcement, now: datetime) -> None:
        """Make sure that an announcement of an unknown node is a fresh one."""
        if announcement.exp == 0:
            raise _Gone
        ends = _time(announcement.exp)
        if ends + _TOLERANCE < now:
            raise _Gone
        if ends > now + timedelta(seconds=LASTS_S) + _TOLERANCE:
            raise _Refused("clock")
        if len(self._seen) >= MAX_REMEMBERED:
            raise _Refused("too many")

    def _tell(self, name: object, reason: str) -> None:
        """Write into the log why a document is not believed; once, as two may take turns."""
        if not reason or self._refused.get(name) == reason:
            return
        if len(self._refused) >= MAX_REMEMBERED:
            self._refused.clear()
        self._refused[name] = reason
        # A name that nobody signed for is a stranger's text.
        _logger.warning("an announcement in the registry is not believed: %s", reason)


class _Refused(Exception):
    """The text is a fixed word; empty for what is no news to anybody."""


class _Gone(_Refused):
    """An old announcement, of a node that is not there."""


def _member(announcement: Announcement) -> Member:
    try:
        address = parse_address(announcement.address)
        management = parse_address(announcement.management) if announcement.management else None
    except ValueError:
        raise _Refused("malformed") from None
    if not 0 <= announcement.weight <= _MAX_WEIGHT:
        raise _Refused("malformed")
    return Member(
        name=announcement.node,
        address=address,
        management=management,
        weight=announcement.weight,
    )


def _time(milliseconds: int) -> datetime:
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        raise _Refused("malformed") from None
