"""An app with access scopes as a developer writes it, on every embedded store."""

from collections.abc import Callable
from pathlib import Path

import pytest
import structlog
from pymongo import ReturnDocument

from bolide.core.errors import MethodError
from bolide.server import AccessRequest, App, Context
from bolide.server.stores.base import Query, Store
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.sqlite import SQLiteStore
from bolide.server.testing import TestNode

GRANTS = {("ann", "ward:read", "7"), ("ann", "ward:write", "7"), ("bob", "ward:write", "8")}


@pytest.fixture(params=["memory", "sqlite"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    if request.param == "memory":
        return MemoryStore
    return lambda: SQLiteStore(tmp_path / "wards.db")


@pytest.fixture
def app() -> App:
    app = App()
    patients = app.collection("patients", access="ward")

    def authorize(request: AccessRequest, /) -> bool:
        return (request.user_id, request.permission, request.access_scope) in GRANTS

    app.authorize = authorize

    @app.on_startup
    async def seed() -> None:
        await patients.create_index("mrn", unique=True, sparse=True)
        await patients.insert_many(
            [
                {"_id": "ada", "ward": "7", "bed": 1, "mrn": "1"},
                {"_id": "bert", "ward": "8", "bed": 1, "mrn": "2"},
            ]
        )

    @app.publish("patients.byWard")
    async def by_ward(ctx: Context, ward: str) -> object:
        ctx.require("ward:read", ward)
        return patients.find({"ward": ward}, sort=[("bed", 1)], limit=50)

    @app.publish("patients.all", public=True)
    async def everybody(ctx: Context) -> object:
        return patients.find()

    @app.method("patients.move")
    async def move(ctx: Context, patient_id: str, ward: str, bed: int) -> None:
        ctx.require("ward:write", ward)
        await patients.update_one({"_id": patient_id}, {"$set": {"bed": bed}})

    @app.method("patients.transfer")
    async def transfer(ctx: Context, patient_id: str, ward: str, to: str) -> int:
        ctx.require("ward:write", ward)
        found = await patients.find_one_and_update(
            {"_id": patient_id}, {"$set": {"ward": to}}, return_document=ReturnDocument.AFTER
        )
        return 0 if found is None else 1

    @app.method("patients.count")
    async def count(ctx: Context) -> int:
        ctx.require_login()
        return await patients.count_documents({})

    @app.method("patients.nested")
    async def nested(ctx: Context) -> object:
        ctx.require("ward:write", "7")
        return await ctx.call("patients.count")

    return app


async def test_a_ward_is_read_and_written_and_no_other(
    app: App, make_store: Callable[[], Store]
) -> None:
    async with TestNode(app, store=make_store()) as node:
        client = await node.connect(user_id="ann")
        await client.subscribe("patients.byWard", "7")
        await client.call("patients.move", "ada", "7", 2)
        await client.call("patients.move", "bert", "7", 3)
        assert client.documents("patients") == [{"_id": "ada", "ward": "7", "bed": 2, "mrn": "1"}]
        assert await client.call("patients.transfer", "bert", "7", "7") == 0
        assert await client.call("patients.transfer", "unknown", "7", "7") == 0
        for arguments in (("ada", "7", "8"), ("bert", "8", "7"), ("unknown", "7", "8")):
            with pytest.raises(MethodError) as caught:
                await client.call("patients.transfer", *arguments)
            assert caught.value.error == 403
        with pytest.raises(MethodError):
            await client.subscribe("patients.byWard", "8")
        found = (await node.store.read(Query(collection="patients"))).documents
        assert {document["_id"]: document["bed"] for document in found} == {"ada": 2, "bert": 1}


@pytest.mark.parametrize("name", ["patients.count", "patients.nested"])
async def test_a_handler_that_opened_nothing_fails_and_the_log_says_what_to_write(
    app: App, name: str
) -> None:
    async with TestNode(app) as node:
        client = await node.connect(user_id="ann")
        with structlog.testing.capture_logs() as records:
            with pytest.raises(MethodError) as caught:
                await client.call(name)
            with pytest.raises(MethodError):
                await client.subscribe("patients.all")
        assert caught.value.error == 500
        assert "The method patients.count counted patients without an open access scope" in repr(
            records
        )
        assert "The publication patients.all published patients without an open" in repr(records)
