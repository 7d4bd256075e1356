"""The stays: where the sessions of this node are, and what keeps each there. Sans-I/O.

A session is somewhere as long as a *holder* wants it to be: a run of a publication, until it
stops, or the session itself, until it ends.
"""

from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from bolide.core.errors import MethodError
from bolide.server.access.decisions import Decisions, Question
from bolide.server.presence.member import Place
from bolide.server.random_ids import random_id

__all__ = ["SESSION", "Holder", "Stays"]

Holder: TypeAlias = Hashable
"""What keeps a session somewhere; compared by equality."""

SESSION: Final = "session"
"""The holder of what a method entered."""


@dataclass(slots=True)
class _Stay:
    id: str
    holders: dict[Holder, Decisions] = field(default_factory=dict[Holder, Decisions])


class Stays:
    """Where the sessions of this node are.

    Args:
        max_places: Most places of one session.
    """

    __slots__ = ("_max_places", "_stays")

    def __init__(self, max_places: int) -> None:
        """Begin with none."""
        self._stays: dict[str, dict[Place, _Stay]] = {}
        self._max_places = max_places

    def enter(self, session: str, place: Place, holder: Holder, decisions: Decisions) -> str:
        """Keep a session somewhere; returns the id of the stay.

        Raises:
            MethodError: ``too-many-places``, if it is elsewhere too often.
        """
        stays = self._stays.get(session, {})
        stay = stays.get(place)
        if stay is None:
            if len(stays) >= self._max_places:
                raise MethodError(
                    "too-many-places",
                    f"One session may be in {self._max_places} places (max_presence_places).",
                )
            stay = self._stays.setdefault(session, {})[place] = _Stay(random_id())
        stay.holders[holder] = decisions
        return stay.id

    def leave(self, session: str, place: Place, holder: Holder | None) -> str | None:
        """Let a holder go, None for all; returns the id of the stay if that ends it."""
        stay = self._stays.get(session, {}).get(place)
        if stay is None:
            return None
        if holder is None:
            stay.holders.clear()
        else:
            stay.holders.pop(holder, None)
        if stay.holders:
            return None
        del self._stays[session][place]
        if not self._stays[session]:
            del self._stays[session]
        return stay.id

    def end(self, session: str) -> list[str]:
        """End all stays of a session; returns their ids."""
        return [stay.id for stay in self._stays.pop(session, {}).values()]

    def release_session(self, session: str) -> list[str]:
        """End the stays that only the session itself wants; returns their ids."""
        places = list(self._stays.get(session, {}))
        ended = [self.leave(session, place, SESSION) for place in places]
        return [id for id in ended if id is not None]

    def ask_again(self, session: str, decide: Callable[[Question], bool]) -> list[str]:
        """End the stays that were entered by a decision that is another one now.

        Those of publications are theirs to end: they run again.

        Args:
            session: Its id.
            decide: Answers a question now.

        Returns:
            The ids of the stays that ended.
        """
        ended: list[str] = []
        for place, stay in list(self._stays.get(session, {}).items()):
            decisions = stay.holders.get(SESSION)
            if decisions is not None and decisions.difference(decide).lost:
                id = self.leave(session, place, SESSION)
                if id is not None:
                    ended.append(id)
        return ended
