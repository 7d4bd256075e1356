"""The broadcast port: short-lived messages to every node of the cluster.

A message comes at most once. It comes in the order in which its node published it; nothing is
promised about the order of two nodes' messages. It may come late, and not at all where a node or
what lies between them fails; then the count of what was lost goes up and whoever listens is told.
"""

from dataclasses import dataclass
from typing import Protocol

from bolide.core.errors import MethodError
from bolide.server.limits import Limits

__all__ = [
    "Broadcast",
    "BroadcastAway",
    "BroadcastFull",
    "BroadcastListener",
    "BroadcastStatistics",
    "check_message",
]

MAX_TOPIC_BYTES = 512
"""Longest topic, bytes of UTF-8."""


class BroadcastFull(MethodError):
    """Too much waits for the other nodes; the message was told to nobody."""

    def __init__(self) -> None:
        """Say what to do."""
        super().__init__(
            "messages-waiting",
            "The message was not sent: too many wait for the other nodes. Send it again later.",
        )


class BroadcastAway(BroadcastFull):
    """What carries messages to the other nodes is away for longer than a message is worth."""

    def __init__(self) -> None:
        """Say what to do."""
        MethodError.__init__(
            self,
            "messages-waiting",
            "The message was not sent: the way to the other nodes is down. Send it again later.",
        )


@dataclass(slots=True)
class BroadcastStatistics:
    """What was counted since the broadcast was opened.

    Attributes:
        published: Messages that this node published.
        sent: Those handed to other nodes.
        received: Messages of other nodes.
        expired: Own messages that waited too long for the other nodes and were given up.
        losses: How often messages of other nodes may have been missed.
    """

    published: int = 0
    sent: int = 0
    received: int = 0
    expired: int = 0
    losses: int = 0


class BroadcastListener(Protocol):
    """Who is told of messages; called on the event loop, must not block nor raise."""

    def message_received(self, topic: str, payload: bytes) -> None:
        """Take the next message, this node's own included."""
        ...

    def messages_missed(self) -> None:
        """Learn that messages of other nodes may have been lost."""
        ...


class Broadcast(Protocol):
    """The way to all nodes.

    Whoever opened it hears everything that any node publishes after :meth:`open` has returned;
    only nodes that do not answer then may take a moment longer.

    Attributes:
        path: How messages reach other nodes: ``"in process"``, ``"store"``, ``"redis"``.
        statistics: What was counted.
    """

    path: str
    statistics: BroadcastStatistics

    async def open(self) -> None:
        """Let messages come.

        Raises:
            ConfigurationError: If what it needs cannot be used; the text says what to do.
        """
        ...

    async def close(self) -> None:
        """Hand on what waits, within a moment, and let nothing come any more."""
        ...

    def listen(self, listener: BroadcastListener) -> None:
        """Tell ``listener`` of every message from now on; before :meth:`open`, too."""
        ...

    def unlisten(self, listener: BroadcastListener) -> None:
        """Tell it nothing more; harmless if it does not listen."""
        ...

    def publish(self, topic: str, payload: bytes) -> None:
        """Tell the listeners of this node before it returns, and those of all others soon.

        Args:
            topic: What it is about, at most ``MAX_TOPIC_BYTES``; names and patient data alike may
                stand in it, so it is not logged.
            payload: At most ``max_broadcast_bytes``.

        Raises:
            BroadcastFull: If too much waits for the other nodes; nobody was told.
            BroadcastAway: If what carries messages is away for long; nobody was told.
            ValueError: If the topic or the payload is too large.
            StateError: If it is not open.
        """
        ...

    @property
    def waits_because(self) -> str:
        """Why messages do not reach the other nodes now, in words; empty if all is well."""
        ...

    @property
    def neighbours(self) -> int | None:
        """How many other nodes there are; None if nobody knows."""
        ...


def check_message(topic: str, payload: bytes, limits: Limits) -> None:
    """Refuse a message that is too large for any path.

    Raises:
        ValueError: If it is; the text holds sizes only.
    """
    size = len(topic.encode())
    if size > MAX_TOPIC_BYTES:
        raise ValueError(f"The topic has {size} bytes, more than {MAX_TOPIC_BYTES}.")
    if len(payload) > limits.max_broadcast_bytes:
        raise ValueError(
            f"The payload has {len(payload)} bytes, more than max_broadcast_bytes"
            f" ({limits.max_broadcast_bytes})."
        )
