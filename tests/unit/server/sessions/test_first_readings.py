"""How many live queries one session joins at the same time."""

import asyncio
from collections.abc import Sequence

from bolide.server import App, Context
from bolide.server.limits import Limits
from bolide.server.settings import Settings
from bolide.server.stores.base import Position, Query, Snapshot
from bolide.server.stores.memory import MemoryStore
from bolide.server.testing import TestNode


class SlowStore(MemoryStore):
    """A store that answers when the test lets it.

    Attributes:
        readings: How many wait for an answer.
        most: How many did at the same time.
        gate: They answer while it is open.
    """

    def __init__(self) -> None:
        super().__init__()
        self.readings = self.most = 0
        self.gate = asyncio.Event()

    async def read(self, query: Query, *, after: Position | None = None) -> Snapshot:
        if query.collection.startswith("beds"):
            self.readings += 1
            self.most = max(self.most, self.readings)
            await self.gate.wait()
            self.readings -= 1
        return await super().read(query, after=after)


async def test_a_session_joins_few_live_queries_at_the_same_time() -> None:
    app, store = App(), SlowStore()
    beds = [app.collection(f"beds{ward}") for ward in range(5)]

    @app.publish("beds", public=True)
    async def of_wards(ctx: Context, session: int) -> Sequence[object]:
        return [of_ward.find({"session": session}) for of_ward in beds]

    settings = Settings(limits=Limits(max_first_readings=2))
    async with TestNode(app, store=store, settings=settings) as node:
        clients = [await node.connect(), await node.connect()]
        subscribing = [
            asyncio.create_task(client.subscribe("beds", number))
            for number, client in enumerate(clients)
        ]
        for _ in range(200):
            await asyncio.sleep(0)
        assert store.readings == 4  # two of each
        store.gate.set()
        await asyncio.gather(*subscribing)
    assert store.most == 4
