"""How messages reach other nodes and who hears them, for those who look at a node."""

from collections.abc import Iterable
from dataclasses import dataclass

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from bolide.server.broadcast.base import Broadcast
from bolide.server.channels.hub import ChannelHub
from bolide.server.presence.hub import PresenceHub

__all__ = ["BroadcastSeries", "BroadcastState", "state_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BroadcastState:
    """The channels and the presence of a node.

    Attributes:
        path: How messages reach other nodes: ``in process``, ``store`` or ``redis``.
        waits_because: Why they do not now; empty if all is well.
        neighbours: How many other nodes there are; None if nobody knows.
        published: Messages between nodes that this one published.
        received: Those of others that came.
        expired: Own ones that waited too long and were given up.
        losses: How often messages of others may have been missed.
        topics: Topics of channels that somebody listens to.
        listeners: Places that subscriptions have at them.
        own_members: Who is present on this node, sessions at places.
        members: The same on all nodes, as far as this one knows.
    """

    path: str
    waits_because: str
    neighbours: int | None
    published: int
    received: int
    expired: int
    losses: int
    topics: int
    listeners: int
    own_members: int
    members: int


def state_of(broadcast: Broadcast, channels: ChannelHub, presence: PresenceHub) -> BroadcastState:
    """Look at the channels and the presence of a node."""
    counts = broadcast.statistics
    return BroadcastState(
        path=broadcast.path,
        waits_because=broadcast.waits_because,
        neighbours=broadcast.neighbours,
        published=counts.published,
        received=counts.received,
        expired=counts.expired,
        losses=counts.losses,
        topics=channels.topic_count,
        listeners=channels.listener_count,
        own_members=presence.own_count,
        members=presence.member_count,
    )


class BroadcastSeries:
    """How messages between nodes fare, for Prometheus.

    Args:
        broadcast: The way to the other nodes.
        presence: Who is where.
    """

    def __init__(self, broadcast: Broadcast, presence: PresenceHub) -> None:
        """Look at them when somebody asks."""
        self._broadcast = broadcast
        self._presence = presence

    def collect(self) -> Iterable[Metric]:
        """Return the samples; called by the registry."""
        counts = self._broadcast.statistics
        family = CounterMetricFamily(
            "bolide_broadcast_messages",
            "Messages between nodes, by what became of them.",
            labels=("outcome",),
        )
        for outcome in ("published", "sent", "received", "expired"):
            family.add_metric((outcome,), getattr(counts, outcome))
        yield family
        yield CounterMetricFamily(
            "bolide_broadcast_losses",
            "Times that messages of other nodes may have been missed.",
            counts.losses,
        )
        yield GaugeMetricFamily(
            "bolide_broadcast_waits",
            "1 while messages do not reach the other nodes.",
            bool(self._broadcast.waits_because),
        )
        yield GaugeMetricFamily(
            "bolide_presence_members",
            "Sessions of this node that are present somewhere, each place counted.",
            self._presence.own_count,
        )
