"""One topic of a channel in one node: who listens, and which messages its listeners still show.

In a client a message is a document that comes and, some seconds later, goes. So any DDP client can
receive messages, and none grows. The messages of a topic are numbered: a client whose socket was
full for longer than a message lives sees by the next number how many it missed.
"""

from collections import deque
from collections.abc import Hashable, Sequence
from typing import Any, Protocol

from bolide.server.random_ids import random_id
from bolide.server.sessions.view.view_change import ViewChange

__all__ = ["ChannelSource", "SourceHost", "Topic"]


class SourceHost(Protocol):
    """What something that publishes needs of its subscription."""

    def source_changed(self, source: Hashable, changes: Sequence[ViewChange]) -> None:
        """Publish what changed."""
        ...


class ChannelSource:
    """Passes the messages of one topic on to one subscription.

    Args:
        host: The subscription.
    """

    __slots__ = ("_host",)

    def __init__(self, host: SourceHost) -> None:
        """Take the subscription."""
        self._host = host

    def tell(self, changes: Sequence[ViewChange]) -> None:
        """Publish messages that came, and take back those that are over."""
        self._host.source_changed(self, changes)


class Topic:
    """The messages of one topic.

    Args:
        channel: Name of the channel: that of the collection in clients.
        name: The topic.
        lives_s: How long a message is shown, seconds.
        most: How many are shown at once; beyond, the oldest goes before its time.
    """

    __slots__ = (
        "_channel",
        "_count",
        "_lives_s",
        "_most",
        "_name",
        "_shown",
        "_sources",
        "_stream",
    )

    def __init__(self, channel: str, name: str, lives_s: float, most: int) -> None:
        """Begin without a message."""
        self._channel = channel
        self._name = name
        self._lives_s = lives_s
        self._most = most
        # Another node, or this one later, counts from the start: the ids tell.
        self._stream = random_id()
        self._count = 0
        self._shown: deque[tuple[float, int, ViewChange]] = deque()
        # Source -> number of the last message before it came.
        self._sources: dict[ChannelSource, int] = {}

    def __len__(self) -> int:
        """Count the listeners."""
        return len(self._sources)

    def join(self, source: ChannelSource) -> None:
        """Tell a source of all messages from now on."""
        self._sources[source] = self._count

    def leave(self, source: ChannelSource) -> None:
        """Tell it nothing more; harmless if it left."""
        self._sources.pop(source, None)

    # Any value that DDP carries.
    def receive(self, message: Any, now: float) -> None:
        """Show a message.

        Args:
            message: A value; shared by all sessions, never to be changed.
            now: Monotonic time, seconds.
        """
        self._count += 1
        fields = {"topic": self._name, "n": self._count, "message": message}
        change = ViewChange.added(self._channel, f"{self._stream}.{self._count}", fields)
        self._shown.append((now + self._lives_s, self._count, change))
        for source in tuple(self._sources):
            source.tell([change])
        self._end(len(self._shown) - self._most)

    def expire(self, now: float) -> None:
        """Take back what was shown long enough."""
        self._end(sum(1 for until, _, _ in self._shown if until <= now))

    @property
    def next_deadline(self) -> float | None:
        """When something is to be taken back, monotonic seconds; None if nothing is shown."""
        return self._shown[0][0] if self._shown else None

    def _end(self, count: int) -> None:
        over = [self._shown.popleft()[1:] for _ in range(count)]
        if not over:
            return
        ends = [(number, _removed(change)) for number, change in over]
        for source, before in tuple(self._sources.items()):
            told = [change for number, change in ends if number > before]
            if told:
                source.tell(told)


def _removed(change: ViewChange) -> ViewChange:
    return ViewChange.removed(change.message.collection, change.message.id, change.fields)
