"""Count what a node does, for Prometheus.

Labels hold names that the application registered, outcomes and message kinds; never anything a
peer made up, so that neither PHI nor an attacker's inventions become a time series.
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest

from bolide.server.stores.feed_health import FeedHealth
from bolide.server.telemetry.feed_series import FeedSeries
from bolide.server.telemetry.series import Count, Histogram

__all__ = ["Metrics"]


class Metrics:
    """The time series of one node."""

    def __init__(self) -> None:
        """Start all at zero, in a registry of their own."""
        self.registry = CollectorRegistry()
        self.sessions = Gauge(
            "bolide_sessions", "DDP sessions that are open.", registry=self.registry
        )
        self.subscriptions = Gauge(
            "bolide_subscriptions", "Subscriptions that are active.", registry=self.registry
        )
        self.live_queries = Gauge(
            "bolide_live_queries", "Different queries being followed.", registry=self.registry
        )
        self.polled_queries = Gauge(
            "bolide_polled_queries",
            "Different queries being followed by polls.",
            registry=self.registry,
        )
        self.store_bytes = Gauge(
            "bolide_store_bytes",
            "Documents that an embedded store holds in memory, bytes of BSON.",
            registry=self.registry,
        )
        self.live_query_rereads = Counter(
            "bolide_live_query_rereads",
            "Live queries that were read again.",
            ["reason"],
            registry=self.registry,
        )
        self.polls = Counter(
            "bolide_polls",
            "Readings of polled live queries, the first ones left out.",
            ["reason"],
            registry=self.registry,
        )
        self.documents_hidden = Counter(
            "bolide_documents_hidden",
            "Documents of live queries that cannot be sent and are left out.",
            ["collection"],
            registry=self.registry,
        )
        self.history_losses = Counter(
            "bolide_history_losses",
            "Times that changes were missed and every live query was read again.",
            registry=self.registry,
        )
        self.channel_messages_sent = Counter(
            "bolide_channel_messages_sent",
            "Messages that this node sent to a channel.",
            ["channel"],
            registry=self.registry,
        )
        self.channel_messages_delivered = Counter(
            "bolide_channel_messages_delivered",
            "Messages of a channel passed on to subscriptions, each counted.",
            ["channel"],
            registry=self.registry,
        )
        self.redis_connected = Gauge(
            "bolide_redis_connected", "1 while Redis is there, 0 while not.", registry=self.registry
        )
        self.redis_losses = Counter(
            "bolide_redis_losses",
            "Times that Redis was there and went away.",
            registry=self.registry,
        )
        self.redis_hints = Counter(
            "bolide_redis_hints",
            "Hints of other programs: taken, refused, or skipped because there were too many.",
            ["outcome"],
            registry=self.registry,
        )
        self.redis_messages_refused = Counter(
            "bolide_redis_messages_refused",
            "Messages between nodes that none of them sent.",
            registry=self.registry,
        )
        self.rate_limits_shared = Gauge(
            "bolide_rate_limits_shared",
            "1 while rate limits count over all nodes, 0 while each node counts for itself.",
            registry=self.registry,
        )
        self.messages_received = Count("bolide_messages_received", "DDP messages received.")
        self.messages_sent = Count("bolide_messages_sent", "DDP messages handed to a socket.")
        self.method_seconds = Histogram(
            "bolide_method_seconds",
            "Time from the start of a method's handler to its end, seconds.",
            ("method", "outcome"),
        )
        self.publication_seconds = Histogram(
            "bolide_publication_seconds",
            "Time from the start of a publish function to ready or nosub, seconds.",
            ("publication", "outcome"),
        )
        self.fence_seconds = Histogram(
            "bolide_fence_seconds", "Time that `updated` waited for live queries, seconds."
        )
        self.jobs_running = Gauge(
            "bolide_jobs_running", "Scheduled jobs that run on this node.", registry=self.registry
        )
        self.job_seconds = Histogram(
            "bolide_job_seconds",
            "Time from the beginning of a scheduled job's run on this node to its end, seconds.",
            ("job", "outcome"),
            bounds_s=(0.01, 0.1, 1.0, 10.0, 60.0, 600.0, 3600.0),
        )
        self.sessions_closed = Count(
            "bolide_sessions_closed", "Sessions that the node closed itself."
        )
        for series in (
            self.messages_received,
            self.messages_sent,
            self.method_seconds,
            self.publication_seconds,
            self.fence_seconds,
            self.job_seconds,
            self.sessions_closed,
        ):
            self.registry.register(series)

    def watch_feed(self, health: FeedHealth) -> None:
        """Show how the feed of the store fares."""
        self.registry.register(FeedSeries(health))

    def exposition(self) -> bytes:
        """Return all series in Prometheus' text format."""
        return generate_latest(self.registry)
