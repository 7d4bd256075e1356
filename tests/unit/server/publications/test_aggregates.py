import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.server.evaluating_store import EvaluatingStore

from bolide.core.errors import MethodError
from bolide.server import App, Context
from bolide.server.access.invocation import Invocation, UndecidedAccess, UnopenedAccess, entered
from bolide.server.livequery.polling.polls import POLL_PAUSE_S
from bolide.server.logging.explained import NeedsMongoDB, NotRunning
from bolide.server.stores.base import AccessFilter
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.pipelines import WrongPipeline
from bolide.server.testing import TestNode

BY_WARD: list[dict[str, Any]] = [{"$group": {"_id": "$ward", "sum": {"$sum": "$n"}}}]


@pytest.fixture
async def app() -> AsyncIterator[App]:
    app, store = App(), EvaluatingStore()
    await store.open()
    app.attach(store)
    yield app
    app.detach()
    await store.close()


def refusal(app: App, *pipeline: Any, name: str = "rows") -> str:
    beds = app.collection("beds")
    with pytest.raises(WrongPipeline) as caught:
        app.live_aggregate(name, beds, pipeline)
    text = str(caught.value)
    assert text.startswith("app.live_aggregate on beds cannot be published: ")
    assert "secret" not in text
    return text


def test_the_rows_of_a_collection_are_what_is_followed(app: App) -> None:
    beds = app.collection("beds")
    rows = app.live_aggregate(
        "rows",
        beds,
        [
            {"$lookup": {"from": "wards", "localField": "ward", "foreignField": "_id", "as": "w"}},
            {"$unionWith": "rooms"},
            {"$facet": {"a": [{"$graphLookup": {"from": "tree", "as": "t"}}]}},
            {"$lookup": {"as": "d", "pipeline": [{"$documents": [{"a": 1}]}]}},
            {"$unionWith": {"coll": "more", "pipeline": [{"$unionWith": {"coll": "most"}}]}},
        ],
    )
    with entered(Invocation("publication", "p", is_decided=True)):
        query = rows.query
    assert (query.collection, query.published_in, query.access) == ("beds", "rows", None)
    assert query.joined == {"wards", "rooms", "tree", "more", "most"}
    with entered(Invocation("publication", "p")), pytest.raises(UndecidedAccess):
        _ = rows.query


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ({"$out": "secret"}, "$out writes"),
        ({"$merge": {"into": "secret"}}, "$merge writes"),
        ({"$facet": {"a": [{"$lookup": {"from": "x", "pipeline": [{"$out": "s"}]}}]}}, "$out"),
        ({"$currentOp": {}}, "a stage that is not known"),
        ({"$changeStream": {}}, "a stage that is not known"),
        ({"secret": 1}, "a stage that is not known"),
        ({"$groop": 1}, "$groop is a stage that is not known: did you mean $group?"),
        ({"$planCacheStats": 1}, "$planCacheStats is a stage that is not known."),
        ({"$match": "secret"}, "$match needs an object"),
        ({"$lookup": {"as": "a"}}, "$lookup needs the name of a collection"),
        ({"$lookup": {"from": {"db": "secret", "coll": "x"}}}, "needs the name of a collection"),
        ({"$unionWith": "_bolide_calls"}, "a collection that is not the app's"),
        ({"$unionWith": {"coll": "system.users"}}, "a collection that is not the app's"),
        ({"$graphLookup": {"from": "patients"}}, "would read patients past its access scopes"),
        ({"$unionWith": {"coll": "patients"}}, "publish it with children= instead"),
        ({"$lookup": {"from": "x", "pipeline": [{"$unionWith": "patients"}]}}, "read patients"),
    ],
)
def test_what_cannot_be_published_is_refused(app: App, stage: Any, words: str) -> None:
    app.collection("patients", access="ward")
    assert words in refusal(app, {"$limit": 1}, stage)


def test_rows_are_in_no_collection_with_access_scopes_and_in_no_channel(app: App) -> None:
    app.collection("patients", access="ward")
    app.channel("typing", str)
    assert "rows cannot be in patients" in refusal(app, *BY_WARD, name="patients")
    with pytest.raises(WrongPipeline, match="typing is a channel"):
        app.live_aggregate("typing", app.collection("c"), BY_WARD)


def test_rows_see_only_what_is_in_an_open_access_scope(app: App) -> None:
    patients = app.collection("patients", access="ward")
    rows = app.live_aggregate("rows", patients, BY_WARD)
    invocation = Invocation("publication", "p", is_decided=True)
    with entered(invocation):
        with pytest.raises(UnopenedAccess):
            _ = rows.query
        invocation.opened.add("7")
        assert rows.query.access == AccessFilter("ward", frozenset({"7"}))


@pytest.mark.parametrize(
    ("name", "pipeline"), [("", []), (7, []), ("rows", {"$match": {}}), ("rows", [7])]
)
def test_arguments_of_other_types_are_refused(app: App, name: Any, pipeline: Any) -> None:
    with pytest.raises(TypeError):
        app.live_aggregate(name, app.collection("beds"), pipeline)
    with pytest.raises(TypeError, match=r"app\.collection"):
        app.live_aggregate("rows", "beds", [])  # type: ignore[arg-type]


async def test_embedded_stores_evaluate_no_pipeline() -> None:
    app, store = App(), MemoryStore()
    beds = app.collection("beds")
    with pytest.raises(NotRunning):
        app.live_aggregate("rows", beds, BY_WARD)
    await store.open()
    app.attach(store)
    with pytest.raises(NeedsMongoDB, match=r"app\.live_aggregate on beds needs MongoDB"):
        app.live_aggregate("rows", beds, BY_WARD)
    app.detach()
    await store.close()


async def test_a_publication_returns_rows_beside_cursors() -> None:
    app = App()
    beds = app.collection("beds")

    @app.publish("all", public=True)
    async def all_beds(ctx: Context) -> object:
        return [beds.find(), app.live_aggregate("sums", beds, BY_WARD)]

    @app.publish("twice", public=True)
    async def twice(ctx: Context) -> object:
        return [beds.find(), app.live_aggregate("beds", beds, BY_WARD)]

    @app.method("fill", public=True)
    async def fill(ctx: Context, n: int) -> None:
        await beds.insert_one({"ward": "7", "n": n})

    async with TestNode(app, store=EvaluatingStore()) as node:
        client = await node.connect()
        await client.subscribe("all")
        assert client.documents("sums") == []
        call = asyncio.create_task(client.call("fill", 3))
        await node.clock.advance(POLL_PAUSE_S)
        await call
        assert client.documents("sums") == [{"_id": "7", "sum": 3}]
        with pytest.raises(MethodError, match="Internal server error"):
            await client.subscribe("twice")
