"""Jobs of a whole node: trusted code, shown to operators, let go when the node stops."""

import asyncio

import pytest

from bolide.core.errors import ConfigurationError
from bolide.core.values import Document
from bolide.server import App, Context, Settings
from bolide.server.access.authorize import AccessRequest
from bolide.server.stores.base import Query
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.own_collections import JOBS
from bolide.server.telemetry.overview import take_overview
from bolide.server.testing import FakeClock, TestNode


async def test_a_job_is_trusted_and_clients_see_what_it_writes() -> None:
    app = App()
    beds = app.collection("beds", access="ward")

    @app.publish("beds", public=True)
    async def published(ctx: Context) -> object:
        ctx.require("beds:read", "7")
        return beds.find()

    @app.every(minutes=5, name="beds.count")
    async def count() -> None:
        assert await beds.find_one("all") is None
        async with app.transaction():
            await beds.insert_one({"_id": "all", "ward": "7"})

    def allow(request: AccessRequest) -> bool:
        return True

    app.authorize = allow
    async with TestNode(app) as node:
        client = await node.connect()
        await client.subscribe("beds")
        await node.clock.advance(300)
        await node.settle()
        assert client.documents("beds") == [{"_id": "all", "ward": "7"}]


async def test_an_operator_sees_the_jobs() -> None:
    app = App()

    @app.cron("*/10 * * * *", name="ward.report")
    async def report() -> None: ...

    async with TestNode(app) as node:
        (job,) = (await take_overview(node.node)).jobs
        assert (job.name, job.schedule) == ("ward.report", "cron */10 * * * * UTC")
        assert (job.state, job.runs, job.next_s) == ("waits", 0, 600)
        await node.clock.advance(600)
        (job,) = (await take_overview(node.node)).jobs
        assert (job.runs, job.outcome, job.next_s) == (1, "ok", 600)
        text = node.node.metrics.exposition().decode()
        assert 'bolide_job_seconds_count{job="ward.report",outcome="ok"} 1.0' in text
        assert "bolide_jobs_running 0.0" in text


async def test_a_node_that_stops_lets_a_job_write_and_then_cancels_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("bolide.server.node.SHUTDOWN_GRACE_S", 0.01)
    app, clock, store = App(), FakeClock(), MemoryStore()
    notes = app.collection("notes")
    began = asyncio.Event()
    during: list[Document] = []
    after: list[Document] = []

    @app.every(minutes=5, name="job")
    async def job() -> None:
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            await notes.insert_one({"_id": "cancelled"})
            during.extend((await store.read(Query(collection=JOBS))).documents)

    closing = store.close

    async def close() -> None:
        after.extend((await store.read(Query(collection=JOBS))).documents)
        await closing()

    store.close = close  # type: ignore[method-assign]
    async with TestNode(app, store=store, clock=clock):
        await clock.advance(300)
        assert began.is_set()
    assert [record["holder"] != "" for record in during] == [True]
    assert [record["holder"] for record in after] == [""]


async def test_a_node_that_drains_begins_no_job() -> None:
    app = App()
    runs: list[None] = []

    @app.every(minutes=5)
    async def job() -> None:
        runs.append(None)

    async with TestNode(app) as node:
        node.node.drain(0)
        await node.clock.advance(600)
        assert runs == []


def test_a_lease_has_a_least_length() -> None:
    with pytest.raises(ConfigurationError, match=r"job_lease_s is 2, but must be .*3 at least"):
        Settings(job_lease_s=2)
