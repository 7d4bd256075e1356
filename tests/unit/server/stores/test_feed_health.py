"""How a feed fares, told by a clock that stands still."""

from bolide.server.stores.feed_health import FeedHealth
from bolide.server.testing import FakeClock


async def test_silence_counts_only_beyond_what_means_nothing() -> None:
    clock = FakeClock()
    health = FeedHealth(clock, quiet_s=2)
    assert health.lag_s == 0
    health.heard(3)
    assert health.lag_s == 3
    await clock.advance(2)
    assert health.lag_s == 3
    await clock.advance(0.5)
    assert health.lag_s == 5.5
    health.heard(0)
    assert health.lag_s == 0


async def test_it_waits_from_the_first_reason_to_the_end_of_the_last() -> None:
    clock = FakeClock()
    health = FeedHealth(clock)
    seen: list[str] = []
    health.watch(lambda: seen.append(health.waits_because))
    assert health.go_on() == 0
    health.wait("nobody is there")
    await clock.advance(4)
    health.wait("nobody is there")
    health.wait("nobody answers")
    await clock.advance(1)
    assert health.waits_s == 5
    assert health.go_on() == 5
    assert health.waits_s == 0
    assert seen == ["nobody is there", "nobody answers", ""]


def test_reasons_that_never_happened_are_counted_as_zero() -> None:
    health = FeedHealth(FakeClock(), reopenings=("a",), losses=("b",), collections_lost=("c",))
    health.reopenings["a"] += 1
    assert (health.reopenings, health.losses) == ({"a": 1}, {"b": 0})
    assert health.collections_lost == {"c": 0}
