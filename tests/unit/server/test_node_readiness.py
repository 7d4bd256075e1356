"""Whether a node says that it is ready while the database of all nodes is away."""

from pymongo.errors import AutoReconnect
from tests.unit.server.held_store import HeldStore

from bolide.server import App
from bolide.server.node import DATABASE_GRACE_S
from bolide.server.stores.feed_health import FeedHealth
from bolide.server.telemetry.overview import take_overview
from bolide.server.testing import FakeClock, TestNode


class SharedStore(HeldStore):
    """A store in the hands of a test whose feed comes over a network."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.feed_health = FeedHealth(clock)

    @property
    def blocked_because(self) -> str:
        return self.feed_health.waits_because


async def test_a_failover_is_no_reason_not_to_be_ready() -> None:
    clock = FakeClock()
    store = SharedStore(clock)
    async with TestNode(App(), store=store, clock=clock) as it:
        node = it.node
        assert await node.check_ready()
        store.feed_health.wait("the database does not answer")
        assert await node.check_ready()
        await clock.advance(DATABASE_GRACE_S - 1)
        store.error = AutoReconnect("away")
        assert await node.check_ready()
        await clock.advance(1)
        assert not await node.check_ready()
        store.error = None
        assert not await node.check_ready()
        store.feed_health.go_on()
        assert await node.check_ready()
        store.feed_health.wait("the database does not answer")
        assert await node.check_ready()


async def test_a_store_of_its_own_has_no_time() -> None:
    store = HeldStore()
    async with TestNode(App(), store=store) as it:
        store.error = AutoReconnect("away")
        assert not await it.node.check_ready()


async def test_an_overview_tells_why_the_feed_waits() -> None:
    clock = FakeClock()
    store = SharedStore(clock)
    async with TestNode(App(), store=store, clock=clock) as it:
        store.feed_health.heard(3)
        store.feed_health.losses["too far behind"] += 2
        store.feed_health.wait("the database does not answer")
        await clock.advance(4)
        state = (await take_overview(it.node)).node
        assert (state.feed_lag_s, state.feed_waits_s, state.feed_losses) == (7, 4, 2)
        assert state.feed_waits_because == "the database does not answer"
