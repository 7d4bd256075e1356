"""The gathering: everybody at one place, and the subscriptions that watch it."""

from collections.abc import Sequence
from typing import Any, Final, Literal, TypeAlias
from urllib.parse import quote

from bolide.core.values import Fields
from bolide.server.channels.topic import SourceHost
from bolide.server.presence.member import Member, Place
from bolide.server.sessions.view.view_change import ViewChange, changed_fields

__all__ = ["By", "Gathering", "HereSource"]

By: TypeAlias = Literal["session", "user"]
"""One document for each session, or for each person."""

_EVERY: Final[tuple[By, ...]] = ("session", "user")


class HereSource:
    """Shows a gathering to one subscription.

    Args:
        host: The subscription.
        by: What a document stands for.
    """

    __slots__ = ("_host", "by")

    def __init__(self, host: SourceHost, by: By) -> None:
        """Take the subscription."""
        self._host = host
        self.by: By = by

    def tell(self, changes: Sequence[ViewChange]) -> None:
        """Publish who came and who left."""
        self._host.source_changed(self, changes)


class Gathering:
    """The members at a place.

    Args:
        place: Where.
    """

    __slots__ = ("_documents", "_people", "_place", "_sources", "members")

    def __init__(self, place: Place) -> None:
        """Begin with nobody."""
        self._place = place
        self.members: dict[str, Member] = {}
        self._sources: dict[HereSource, None] = {}
        # The same members by person, whoever was told of last at the end.
        self._people: dict[str, dict[str, Member]] = {}
        self._documents: dict[By, dict[str, Fields]] = {by: {} for by in _EVERY}

    @property
    def is_empty(self) -> bool:
        """Nobody is here, and nobody looks."""
        return not self.members and not self._sources

    @property
    def watcher_count(self) -> int:
        """How many subscriptions look at it."""
        return len(self._sources)

    def join(self, source: HereSource) -> None:
        """Show everybody to a subscription, and who comes and leaves from now on."""
        self._sources[source] = None
        name = self._place[0]
        documents = self._documents[source.by]
        if documents:
            source.tell([ViewChange.added(name, id, fields) for id, fields in documents.items()])

    def leave(self, source: HereSource) -> None:
        """Show it nothing more; harmless if it left."""
        self._sources.pop(source, None)

    def put(self, member: Member) -> None:
        """Let a member be here, or be told otherwise of."""
        self.members[member.id] = member
        same = self._people.setdefault(_person_id(member), {})
        same.pop(member.id, None)
        same[member.id] = member
        self._show(member)

    def remove(self, id: str) -> None:
        """Let a member be gone; harmless if it is not here."""
        member = self.members.pop(id, None)
        if member is None:
            return
        person = _person_id(member)
        del self._people[person][id]
        if not self._people[person]:
            del self._people[person]
        self._show(member)

    def _show(self, member: Member) -> None:
        """Tell of what a member changes."""
        person = _person_id(member)
        self._set("session", member.id, _of_session(self.members.get(member.id)))
        self._set("user", person, _of_person(list(self._people.get(person, {}).values())))

    def _set(self, by: By, id: str, fields: Fields | None) -> None:
        documents, name = self._documents[by], self._place[0]
        before = documents.get(id)
        if fields is None:
            if before is None:
                return
            del documents[id]
            change = ViewChange.removed(name, id, before)
        elif before is None:
            documents[id] = fields
            change = ViewChange.added(name, id, fields)
        else:
            changes = changed_fields(before, fields)
            if not changes:
                return
            documents[id] = fields
            change = ViewChange.changed(name, id, changes, before, fields)
        for source in tuple(self._sources):
            if source.by == by:
                source.tell([change])


def _person_id(member: Member) -> str:
    """Return the ``_id`` of a person's document; sessions without a user are persons each."""
    if member.user_id is None:
        return member.id
    # Two places may be shown in one collection: no other topic and user make the same text.
    return f"{quote(member.place[1], safe='')}/{member.user_id}"


def _of_session(member: Member | None) -> dict[str, Any] | None:
    if member is None:
        return None
    return {"topic": member.place[1], "user_id": member.user_id, "info": member.info}


def _of_person(members: Sequence[Member]) -> dict[str, Any] | None:
    """Make the document of a person; what was told last counts."""
    if not members:
        return None
    return {**(_of_session(members[-1]) or {}), "sessions": len(members)}
