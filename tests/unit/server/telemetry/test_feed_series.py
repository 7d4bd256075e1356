"""The series of a feed."""

from prometheus_client import CollectorRegistry

from bolide.server.stores.feed_health import FeedHealth
from bolide.server.telemetry.feed_series import FeedSeries
from bolide.server.testing import FakeClock


async def test_a_feed_shows_how_late_it_is_and_what_happened_to_it() -> None:
    clock = FakeClock()
    health = FeedHealth(clock, reopenings=("no answer",))
    registry = CollectorRegistry()
    registry.register(FeedSeries(health))
    health.heard(2)
    health.wait("why")
    health.losses["too far behind"] += 1
    health.collections_lost["dropped"] += 3
    await clock.advance(7)

    def value(name: str, reason: str | None = None) -> float | None:
        labels = None if reason is None else {"reason": reason}
        return registry.get_sample_value(name, labels)

    assert value("bolide_feed_lag_seconds") == 9
    assert value("bolide_feed_waiting_seconds") == 7
    assert value("bolide_feed_reopenings_total", "no answer") == 0
    assert value("bolide_feed_losses_total", "too far behind") == 1
    assert value("bolide_feed_collections_lost_total", "dropped") == 3
