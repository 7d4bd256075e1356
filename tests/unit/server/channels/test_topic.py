"""The messages of one topic: who is told, what is shown, and for how long."""

from collections.abc import Hashable, Sequence

from bolide.core.ddp.messages import Added
from bolide.server.channels.topic import ChannelSource, Topic
from bolide.server.sessions.view.view_change import ViewChange


class Host:
    """A subscription that keeps what it is to publish.

    Attributes:
        told: Kind and number of each message.
        ids: Their ids.
    """

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []
        self.changes: list[ViewChange] = []

    def source_changed(self, source: Hashable, changes: Sequence[ViewChange]) -> None:
        self.changes.extend(changes)
        for change in changes:
            kind = "added" if isinstance(change.message, Added) else "removed"
            self.told.append((kind, change.message.id.partition(".")[2]))


def joined(topic: Topic) -> tuple[Host, ChannelSource]:
    host = Host()
    source = ChannelSource(host)
    topic.join(source)
    return host, source


def test_messages_are_numbered_documents_that_all_listeners_share() -> None:
    topic = Topic("typing", "7", 5, 10)
    (first, _), (second, _) = joined(topic), joined(topic)
    topic.receive({"bed": 3}, 0.0)
    topic.receive({"bed": 4}, 0.0)
    assert first.changes == second.changes
    assert all(one is other for one, other in zip(first.changes, second.changes, strict=True))
    assert first.changes[1].fields == {"topic": "7", "n": 2, "message": {"bed": 4}}
    assert first.changes[1].message.collection == "typing"


def test_a_message_goes_after_its_time_and_only_from_who_was_told() -> None:
    topic = Topic("typing", "7", 5, 10)
    early, _ = joined(topic)
    topic.receive("a", 0.0)
    late, _ = joined(topic)
    topic.receive("b", 1.0)
    assert topic.next_deadline == 5.0
    topic.expire(5.5)
    assert early.told == [("added", "1"), ("added", "2"), ("removed", "1")]
    assert late.told == [("added", "2")]
    assert topic.next_deadline == 6.0
    topic.expire(6.0)
    assert late.told == [("added", "2"), ("removed", "2")]
    assert topic.next_deadline is None


def test_of_too_many_the_oldest_goes_before_its_time() -> None:
    topic = Topic("typing", "7", 5, 2)
    host, _ = joined(topic)
    for text in "abc":
        topic.receive(text, 0.0)
    assert host.told == [("added", "1"), ("added", "2"), ("added", "3"), ("removed", "1")]


def test_who_left_is_told_nothing() -> None:
    topic = Topic("typing", "7", 5, 10)
    host, source = joined(topic)
    assert len(topic) == 1
    topic.leave(source)
    topic.leave(source)
    topic.receive("a", 0.0)
    assert host.told == []
    assert len(topic) == 0


def test_a_topic_that_begins_anew_has_other_ids() -> None:
    ids: set[str] = set()
    for _ in range(2):
        topic = Topic("typing", "7", 5, 10)
        host, _ = joined(topic)
        topic.receive("a", 0.0)
        ids.add(host.changes[0].message.id)
    assert len(ids) == 2
