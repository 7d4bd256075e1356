"""Time series of a feed that comes over a network."""

from collections import Counter
from collections.abc import Iterable

from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from bolide.server.stores.feed_health import FeedHealth

__all__ = ["FeedSeries"]


class FeedSeries:
    """How a feed fares, for Prometheus.

    Args:
        health: Of the feed.
    """

    def __init__(self, health: FeedHealth) -> None:
        """Look at it when somebody asks."""
        self._health = health

    def collect(self) -> Iterable[Metric]:
        """Return the samples; called by the registry."""
        health = self._health
        yield GaugeMetricFamily(
            "bolide_feed_lag_seconds",
            "How far live queries are behind what the database holds, seconds.",
            health.lag_s,
        )
        yield GaugeMetricFamily(
            "bolide_feed_waiting_seconds",
            "How long the feed of the store has been interrupted, seconds; 0: it is not.",
            health.waits_s,
        )
        yield _counts(
            "bolide_feed_reopenings",
            "Times that the feed of the store was opened again.",
            health.reopenings,
        )
        yield _counts(
            "bolide_feed_losses",
            "Times that the feed missed changes, so that everything was read again.",
            health.losses,
        )
        yield _counts(
            "bolide_feed_collections_lost",
            "Times that a collection was dropped, renamed or replaced, so that it was read again.",
            health.collections_lost,
        )


def _counts(name: str, documentation: str, counts: Counter[str]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, documentation, labels=("reason",))
    for reason, count in counts.items():
        family.add_metric((reason,), count)
    return family
