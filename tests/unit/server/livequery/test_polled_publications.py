"""Publications whose queries are polled: counts, joins, what operators see of them."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from tests.unit.server.evaluating_store import EvaluatingStore

from bolide.server import App, Context
from bolide.server.livequery.polling.polls import POLL_PAUSE_S
from bolide.server.settings import Settings
from bolide.server.telemetry.overview import take_overview
from bolide.server.testing import TestNode


@pytest.fixture
async def node() -> AsyncIterator[TestNode]:
    app = App()
    beds, notes = app.collection("beds"), app.collection("notes")

    @app.publish("large", public=True)
    async def large(ctx: Context) -> object:
        selector = {"$where": "n > 3"}
        return [
            beds.find(selector, children=[lambda bed: notes.find({"bed": bed["_id"], **selector})]),
            app.live_count("large", beds.find(selector)),
        ]

    @app.method("beds.set", public=True)
    async def set_bed(ctx: Context, id: str, n: int) -> None:
        await beds.update_one({"_id": id}, {"$set": {"n": n}}, upsert=True)

    @app.method("notes.add", public=True)
    async def add_note(ctx: Context, bed: str, n: int) -> None:
        await notes.insert_one({"bed": bed, "n": n})

    settings = Settings(poll_interval_s=3)
    async with TestNode(app, store=EvaluatingStore(), settings=settings) as node:
        yield node


async def test_counts_and_joins_are_published_before_updated(node: TestNode) -> None:
    client = await node.connect()
    await client.subscribe("large")
    assert client.document("counts", "large") == {"_id": "large", "count": 0}
    for method, bed, n in (("notes.add", "a", 5), ("notes.add", "a", 1), ("beds.set", "a", 4)):
        call = asyncio.create_task(client.call(method, bed, n))
        for _ in range(3):  # a poll for each level
            await node.clock.advance(POLL_PAUSE_S)
        await call
    assert client.document("beds", "a") == {"_id": "a", "n": 4}
    assert [note["n"] for note in client.documents("notes")] == [5]
    assert client.document("counts", "large") == {"_id": "large", "count": 1}
    call = asyncio.create_task(client.call("beds.set", "a", 0))
    await node.clock.advance(POLL_PAUSE_S)
    await call
    assert client.documents("beds") == client.documents("notes") == []
    assert client.document("counts", "large") == {"_id": "large", "count": 0}


async def test_operators_see_what_is_polled_and_why(node: TestNode) -> None:
    client = await node.connect()
    await client.subscribe("large")
    await node.clock.advance(3)
    overview = await take_overview(node.node)
    assert (overview.live_queries.count, overview.live_queries.polled) == (2, 2)
    for row in overview.live_query_rows:
        assert (row.collection, row.selector, row.rereads) == ("beds", "{$where: ?}", 1)
        assert (row.driver, row.reason, row.reread_because) == ("polled", "$where", "interval")
    series = node.node.metrics.exposition().decode()
    assert "bolide_polled_queries 2.0" in series
    assert 'bolide_polls_total{reason="interval"} 2.0' in series
    assert "bolide_live_query_rereads_total{" not in series
