"""When clients are told that what they show may be late."""

from functools import partial

from bolide.core.ddp.messages import Late
from bolide.server import App
from bolide.server.lateness import LATE_AFTER_S, Lateness
from bolide.server.stores.feed_health import FeedHealth
from bolide.server.stores.memory import MemoryStore
from bolide.server.testing import FakeClock, TestClient, TestNode


async def test_it_is_told_after_a_while_and_until_it_is_over() -> None:
    clock = FakeClock()
    health = FeedHealth(clock)
    told: list[str] = []
    lateness = Lateness(health, clock, lambda: told.append(lateness.because))
    health.wait("a")
    await clock.advance(LATE_AFTER_S - 0.1)
    health.go_on()
    await clock.advance(LATE_AFTER_S)
    assert told == []
    health.wait("a")
    health.wait("b")
    await clock.advance(LATE_AFTER_S)
    health.wait("c")
    health.go_on()
    assert told == ["b", "c", ""]
    health.wait("a")
    lateness.close()
    await clock.advance(LATE_AFTER_S)
    assert told == ["b", "c", ""]


class SharedStore(MemoryStore):
    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.feed_health = FeedHealth(clock)


def told(client: TestClient) -> list[str | None]:
    return [message.because for message in client.messages if isinstance(message, Late)]


def was_told(client: TestClient, *reasons: str | None) -> bool:
    return told(client) == list(reasons)


async def test_clients_that_know_it_are_told_also_when_they_come_later() -> None:
    clock = FakeClock()
    store = SharedStore(clock)
    async with TestNode(App(), store=store, clock=clock) as node:
        client, plain = await node.connect(bolide=True), await node.connect()
        store.feed_health.wait("the database does not answer")
        await clock.advance(LATE_AFTER_S)
        later = await node.connect(bolide=True)
        for one in (client, later):
            await one.wait_for(partial(was_told, one, "the database does not answer"))
        store.feed_health.go_on()
        for one in (client, later):
            await one.wait_for(partial(was_told, one, "the database does not answer", None))
        plain.documents("any")
        assert told(plain) == []
