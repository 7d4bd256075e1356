"""What live queries cost, counted."""

import asyncio
from collections.abc import AsyncGenerator
from typing import Any, cast

import pytest
from tests.property.live_core.app import LiveApp, write_directly
from tests.property.live_core.clients import Reader
from tests.property.live_core.faults import FaultyStore
from tests.property.live_core.model import History, work_of

from bolide.core.ddp import codec
from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.server.sessions import transport
from bolide.server.stores.base import Store
from bolide.server.stores.memory import MemoryStore
from bolide.server.testing import TestNode

SUBSCRIBERS = 200


class World:
    """One node, some clients, and counters."""

    def __init__(self, node: TestNode, store: FaultyStore) -> None:
        self.node = node
        self.store = store
        self._numbers = iter(range(10**6))

    def client(self) -> Reader:
        reader = Reader("client", lambda: next(self._numbers))
        reader.connect(self.node, 0)
        return reader

    async def write(self, *work: Any) -> None:
        await write_directly(cast("Store", self.store), work_of(*work))

    @property
    def reads(self) -> int:
        """How often the store was read for live queries."""
        return sum(n for query, n in self.store.reads.items() if "_bolide" not in query)


@pytest.fixture
async def world() -> AsyncGenerator[World]:
    store = FaultyStore(MemoryStore(), History())
    async with TestNode(LiveApp().app, store=cast("Store", store)) as node:
        yield World(node, store)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Return the data messages that are turned into text."""
    messages: list[object] = []

    def encode(message: Any, **options: Any) -> bytes:
        if isinstance(message, Added | Changed | Removed):
            messages.append(message)
        return codec.encode(message, **options)

    monkeypatch.setattr(transport, "encode", encode)
    return messages


async def subscribed(world: World, publication: str) -> list[Reader]:
    """Let many clients subscribe at the same time."""
    clients = [world.client() for _ in range(SUBSCRIBERS)]
    for client in clients:
        client.subscribe(publication)
    await asyncio.gather(*(client.answered() for client in clients))
    assert not any(client.faults for client in clients)
    return clients


@pytest.mark.parametrize("publication", ["all", "window"])
async def test_200_subscribers_who_come_at_once_cost_one_read(
    world: World, publication: str
) -> None:
    await world.write("put", "a", 1)
    await subscribed(world, publication)
    assert world.reads == 1
    await subscribed(world, publication)
    assert world.reads == 1


async def test_a_document_is_encoded_once_for_200_subscribers(
    world: World, encoded: list[object]
) -> None:
    clients = await subscribed(world, "all")
    await world.write("put", "a", 1)
    await world.node.settle()
    await world.write("set", "a", 2)
    await world.node.settle()
    await world.write("delete", "a")
    await world.node.settle()
    assert [type(message) for message in encoded] == [Added, Changed, Removed]
    assert all(client.view("things") == {} for client in clients)


async def test_who_comes_later_costs_no_encoding(world: World, encoded: list[object]) -> None:
    for id in "abc":
        await world.write("put", id, 1)
    await subscribed(world, "all")
    assert len(encoded) == 3
    await subscribed(world, "all")
    assert len(encoded) == 3


async def test_a_query_without_window_is_never_read_again(world: World) -> None:
    await subscribed(world, "some")
    for n in range(20):
        await world.write("put", "abcde"[n % 5], n % 4)
    await world.node.settle()
    assert world.reads == 1


async def test_a_burst_reads_a_window_at_most_twice_again(world: World) -> None:
    await subscribed(world, "window")
    await asyncio.gather(*(world.write("put", "abcde"[n % 5], n % 4) for n in range(50)))
    await world.node.settle()
    assert world.reads <= 3


async def test_what_a_window_cannot_show_does_not_read_it_again(world: World) -> None:
    await subscribed(world, "short")
    # The window is over one owner's documents, and this is another's.
    await world.write("put", "b", 1)
    await world.write("set", "b", 3)
    await world.write("delete", "b")
    await world.node.settle()
    assert world.reads == 1
