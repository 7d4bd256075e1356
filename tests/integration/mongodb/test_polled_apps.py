"""Apps with polled publications, on nodes that share a replica set."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from typing import Any, cast

import pytest
from pymongo import MongoClient
from tests.mongo_roles import administrator_url
from tests.replica_set import ReplicaSet

from bolide.core.errors import MethodError
from bolide.server import App, Context, Selector
from bolide.server.clock import SystemClock
from bolide.server.settings import Settings
from bolide.server.stores.mongo import MongoStore
from bolide.server.stores.mongo.connecting.connection import database_name
from bolide.server.stores.mongo.reading import snapshots
from bolide.server.testing import FakeClock, TestClient, TestNode


class RealClock(SystemClock):
    """The system's clock, for a node whose database has a time of its own."""

    async def advance(self, seconds: float) -> None:
        await asyncio.sleep(0)


JOINED: list[dict[str, Any]] = [
    {"$lookup": {"from": "wards", "localField": "ward", "foreignField": "_id", "as": "of"}},
    {"$group": {"_id": {"$first": "$of.name"}, "patients": {"$sum": "$patients"}}},
]


def make_app() -> App:
    app = App()
    app.authorize = lambda request: True
    beds, wards = app.collection("beds"), app.collection("wards")
    patients = app.collection("patients", access="ward")

    @app.publish("occupancy", public=True)
    async def occupancy(ctx: Context) -> object:
        return [app.live_aggregate("occupancy", beds, JOINED), wards.find()]

    @app.publish("patients.total")
    async def total(ctx: Context, ward: str) -> object:
        ctx.require("read", ward)
        return app.live_aggregate("total", patients, [{"$group": {"_id": None, "n": {"$sum": 1}}}])

    @app.publish("joined", public=True)
    async def joined(ctx: Context) -> object:
        return app.live_aggregate("joined", beds, [{"$unionWith": "patients"}])

    @app.publish("joined.view", public=True)
    async def joined_view(ctx: Context, name: str) -> object:
        return app.live_aggregate("joined", beds, [{"$unionWith": name}])

    @app.publish("found", public=True)
    async def found(ctx: Context, selector: Selector) -> object:
        return beds.find(selector)

    @app.method("set", public=True)
    async def set_one(ctx: Context, name: str, id: str, fields: dict[str, Any]) -> None:
        collection = {"beds": beds, "wards": wards}[name]
        await collection.update_one({"_id": id}, {"$set": fields}, upsert=True)

    @app.method("admit")
    async def admit(ctx: Context, ward: str) -> None:
        ctx.require("write", ward)
        await patients.insert_one({"ward": ward})

    @app.method("count", public=True)
    async def count(ctx: Context, selector: Selector) -> int:
        return await beds.count_documents(selector)

    return app


@pytest.fixture
async def clients(new_database: Callable[[], str]) -> AsyncIterator[list[TestClient]]:
    """A client on each of two nodes, whose poll interval no test comes to."""
    url, settings = new_database(), Settings(poll_interval_s=60)
    with MongoClient[dict[str, Any]](administrator_url(url)) as client:
        database = client.get_database(database_name(url))
        database.create_collection("all_wards", viewOn="wards", pipeline=[])
        database.create_collection("all_patients", viewOn="patients", pipeline=[])
        above: list[dict[str, Any]] = [{"$unionWith": "all_patients"}]
        database.create_collection("all_people", viewOn="wards", pipeline=above)
    clock = cast("FakeClock", RealClock())
    async with AsyncExitStack() as stack:
        clients: list[TestClient] = []
        for _ in range(2):
            node = TestNode(make_app(), store=MongoStore(url), settings=settings, clock=clock)
            clients.append(await (await stack.enter_async_context(node)).connect())
        yield clients


async def until(client: TestClient, is_true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        await client.wait_for(is_true)


async def test_rows_are_there_before_updated_and_on_the_other_node(
    clients: list[TestClient],
) -> None:
    here, there = clients
    for client in clients:
        await client.subscribe("occupancy")
    for number in range(1, 4):
        await here.call("set", "wards", "7", {"name": f"ICU {number}"})
        await here.call("set", "beds", "a", {"ward": "7", "patients": number})
        assert here.documents("occupancy") == [{"_id": f"ICU {number}", "patients": number}]
        await until(there, lambda: there.documents("occupancy") == here.documents("occupancy"))


async def test_rows_stay_inside_access_scopes(clients: list[TestClient]) -> None:
    here, there = clients
    await here.subscribe("patients.total", "7")
    for ward in ("7", "8", "7"):
        await there.call("admit", ward)
    await until(here, lambda: here.documents("total") == [{"_id": None, "n": 2}])
    with pytest.raises(MethodError, match="Internal server error"):
        await here.subscribe("joined")
    assert here.documents("joined") == []


@pytest.mark.parametrize("view", ["all_patients", "all_people"])
async def test_access_scopes_are_not_passed_through_a_view(
    clients: list[TestClient], view: str
) -> None:
    here, there = clients
    await here.call("set", "wards", "7", {"name": "ICU"})
    await there.call("admit", "7")
    with pytest.raises(MethodError, match="Internal server error"):
        await here.subscribe("joined.view", view)
    assert here.documents("joined") == []
    await here.subscribe("joined.view", "all_wards")
    assert here.documents("joined") == [{"_id": "7", "name": "ICU"}]


@pytest.mark.parametrize(
    "selector",
    [
        {"$where": "true"},
        {"$expr": {"$function": {"body": "function() { return true }", "args": [], "lang": "js"}}},
        {"$or": [{"$where": "true"}]},
    ],
)
async def test_a_client_has_no_code_run(clients: list[TestClient], selector: Any) -> None:
    here, _ = clients
    await here.call("set", "beds", "a", {"n": 1})
    for refused in (here.subscribe("found", selector), here.call("count", selector)):
        with pytest.raises(MethodError, match="is not taken from clients") as caught:
            await refused
        assert caught.value.error == 400
    await here.subscribe("found", {"n": {"$gt": 0}})
    assert [bed["_id"] for bed in here.documents("beds")] == ["a"]
    assert await here.call("count", {"n": 1}) == 1


async def test_a_slow_regular_expression_is_not_tried_again(
    clients: list[TestClient], replica_set: ReplicaSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    here, _ = clients
    # Many times the first attempt's time, which may go by waiting for a majority.
    for number in range(10):
        await here.call("set", "beds", str(number), {"name": ["a" * 20_000] * 40})
    # A server that waits, as for a majority, is asked again.
    await asyncio.to_thread(lambda: replica_set.fail(1, "find", errorCode=50))
    await here.subscribe("found", {"name": {"$regex": "^b"}})
    monkeypatch.setattr(snapshots, "_FIRST_ATTEMPT_S", 0.1)
    with pytest.raises(MethodError, match="takes too long"):
        await here.subscribe("found", {"name": {"$regex": "(.*)(.*)b$"}})
    monkeypatch.undo()
    await here.subscribe("found", {"name": "aaa"})
    assert here.documents("beds") == []
