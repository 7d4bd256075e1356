"""Who is at a place, as subscriptions are shown it."""

from collections.abc import Hashable, Sequence
from typing import Any

from bolide.core.ddp.messages import Added, Changed
from bolide.server.presence.gathering import Gathering, HereSource
from bolide.server.presence.member import Member
from bolide.server.sessions.view.view_change import ViewChange

PLACE = ("online", "7")


class Host:
    def __init__(self) -> None:
        self.told: list[tuple[str, str, Any]] = []

    def source_changed(self, source: Hashable, changes: Sequence[ViewChange]) -> None:
        for change in changes:
            message = change.message
            fields = message.fields if isinstance(message, Added | Changed) else None
            self.told.append((type(message).__name__.lower(), message.id, fields))


def member(id: str, user: str | None = "ann", info: Any = None) -> Member:
    return Member(id, PLACE, user, info)


def watched(gathering: Gathering, by: Any) -> tuple[Host, HereSource]:
    host = Host()
    source = HereSource(host, by)
    gathering.join(source)
    return host, source


def test_each_session_is_a_document() -> None:
    gathering = Gathering(PLACE)
    gathering.put(member("a", info=1))
    host, _ = watched(gathering, "session")
    gathering.put(member("b", None))
    gathering.put(member("a", info=2))
    gathering.put(member("a", info=2))
    gathering.remove("a")
    gathering.remove("a")
    assert host.told == [
        ("added", "a", {"topic": "7", "user_id": "ann", "info": 1}),
        ("added", "b", {"topic": "7", "user_id": None, "info": None}),
        ("changed", "a", {"info": 2}),
        ("removed", "a", None),
    ]


def test_by_user_each_person_is_one_document_with_what_was_told_last() -> None:
    gathering = Gathering(PLACE)
    host, _ = watched(gathering, "user")
    gathering.put(member("a", info=1))
    gathering.put(member("b", info=2))
    gathering.put(member("c", None, info=3))
    gathering.remove("b")
    gathering.remove("a")
    assert host.told == [
        ("added", "7/ann", {"topic": "7", "user_id": "ann", "info": 1, "sessions": 1}),
        ("changed", "7/ann", {"info": 2, "sessions": 2}),
        ("added", "c", {"topic": "7", "user_id": None, "info": 3, "sessions": 1}),
        ("changed", "7/ann", {"info": 1, "sessions": 1}),
        ("removed", "7/ann", None),
    ]


def test_who_stopped_watching_is_told_nothing() -> None:
    gathering = Gathering(PLACE)
    host, source = watched(gathering, "session")
    assert gathering.watcher_count == 1
    assert not gathering.is_empty
    gathering.leave(source)
    gathering.leave(source)
    assert gathering.is_empty
    gathering.put(member("a"))
    assert host.told == []


def test_no_two_persons_at_two_places_are_one_document() -> None:
    ids: set[str] = set()
    for topic, user in (("a/b", "c"), ("a", "b/c"), ("a%2Fb", "c")):
        gathering = Gathering(("online", topic))
        host, _ = watched(gathering, "user")
        gathering.put(Member("x", ("online", topic), user, None))
        ids.add(host.told[0][1])
    assert len(ids) == 3
