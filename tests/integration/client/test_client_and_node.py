"""The Python SDK against a real node: live views, and what a restart does to them."""

import asyncio
import socket
from pathlib import Path
from typing import Any

import pytest
from tests.integration.conftest import Server

from bolide.client import Client, ConnectionState, OpenedConnection, connect
from bolide.core.errors import MethodError
from bolide.server import App, Context, Settings

TIMEOUT_S = 20


def make_app(store: Path) -> App:
    app = App(Settings(store=f"sqlite:///{store}"))
    tasks = app.collection("tasks")

    @app.publish("tasks", public=True)
    async def publish(ctx: Context, done: bool) -> object:
        return tasks.find({"done": done})

    @app.method("add", public=True)
    async def add(ctx: Context, id: str, rank: int) -> str:
        await tasks.insert_one({"_id": id, "rank": rank, "done": False})
        return id

    @app.publish("mine")
    async def mine(ctx: Context) -> object:
        ctx.require_login()
        return tasks.find({"owner": ctx.user_id})

    @app.method("login", public=True)
    async def login(ctx: Context, user_id: str) -> None:
        await ctx.set_user_id(user_id)

    @app.method("add.mine")
    async def add_mine(ctx: Context, id: str) -> str | None:
        ctx.require_login()
        await tasks.insert_one({"_id": id, "rank": 1, "owner": ctx.user_id})
        return ctx.user_id

    @app.method("finish", public=True)
    async def finish(ctx: Context, id: str) -> None:
        await tasks.update_one({"_id": id}, {"$set": {"done": True}})

    return app


class Node:
    """A node that can be stopped and started again on the same port."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self.port = 0

    async def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self._server = Server(make_app(self._store).asgi)
        await self._server.start(listener)

    async def stop(self) -> None:
        await self._server.stop()


async def shows(client: Client, expected: list[str]) -> None:
    """Wait until the tasks that are shown have these ids, in the order of their ranks."""
    query = client.collection("tasks").find({}, sort=[("rank", 1)])
    async with asyncio.timeout(TIMEOUT_S):
        async for documents in query.results():
            if [document["_id"] for document in documents] == expected:
                return


async def state(client: Client, wanted: ConnectionState) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        async for status in client.statuses():
            if status.state is wanted:
                return


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path / "tasks.db")


async def test_a_client_shows_what_another_writes(node: Node) -> None:
    await node.start()
    url = f"ws://127.0.0.1:{node.port}/websocket"
    async with connect(url) as reader, connect(url) as writer:
        subscription = await reader.subscribe("tasks", False)
        assert await writer.call("add", "b", 2) == "b"
        assert await writer.call("add", "a", 1) == "a"
        await shows(reader, ["a", "b"])
        await writer.call("finish", "b")
        await shows(reader, ["a"])
        await subscription.stop()
        await shows(reader, [])
    await node.stop()


async def test_errors_are_the_servers(node: Node) -> None:
    await node.start()
    async with connect(f"http://127.0.0.1:{node.port}") as client:
        with pytest.raises(MethodError) as caught:
            await client.call("none")
        assert caught.value.error == 404
        with pytest.raises(MethodError) as caught:
            await client.subscribe("tasks", "yes")
        assert caught.value.error == 400
    await node.stop()


async def test_a_restart_of_the_node_is_seen_and_survived(node: Node) -> None:
    await node.start()
    async with connect(f"ws://127.0.0.1:{node.port}/websocket") as client:
        await client.subscribe("tasks", False)
        await client.call("add", "a", 1)
        await client.call("add", "b", 2)
        await shows(client, ["a", "b"])
        changes: list[Any] = []
        query = client.collection("tasks").find({}, sort=[("rank", 1)])

        async def watch() -> None:
            changes.extend([change async for change in query.changes()])

        watching = asyncio.create_task(watch())
        await node.stop()
        await state(client, ConnectionState.WAITING)
        assert len(query.fetch()) == 2  # what was shown stays
        await node.start()
        await state(client, ConnectionState.CONNECTED)
        await client.call("finish", "a")
        await shows(client, ["b"])
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
    await node.stop()


async def test_collections_are_named_once_each_as_documents_arrive(node: Node) -> None:
    await node.start()
    async with connect(f"http://127.0.0.1:{node.port}") as client:
        names: list[str] = []

        async def read_names() -> None:
            names.extend([name async for name in client.collection_names()])

        reading = asyncio.create_task(read_names())
        await client.subscribe("tasks", False)
        await client.call("add", "a", 1)
        await client.call("add", "b", 1)
        await shows(client, ["a", "b"])
        assert await anext(client.collection_names()) == "tasks"
    await asyncio.wait_for(reading, TIMEOUT_S)
    assert names == ["tasks"]
    await node.stop()


async def test_what_a_node_does_not_take_is_an_error_for_the_caller(node: Node) -> None:
    class Unknown:
        def type_name(self) -> str:
            return "unknown"

        def to_json_value(self) -> int:
            return 1

    await node.start()
    deep: Any = 1
    for _ in range(70):
        deep = [deep]
    async with (
        asyncio.timeout(TIMEOUT_S),
        connect(f"ws://127.0.0.1:{node.port}/websocket") as client,
    ):
        for argument, reason in (
            ("x" * 1_100_000, "max_message_bytes"),
            (deep, "max_json_depth"),
            (Unknown(), "Parse error"),
        ):
            with pytest.raises(MethodError, match=reason):
                await client.call("add", argument, 1)
            with pytest.raises(MethodError, match=reason):
                await client.subscribe("tasks", argument)
        assert await client.call("add", "a", 1) == "a"
    await node.stop()


async def test_on_connect_logs_in_again_before_what_waits_is_sent(node: Node) -> None:
    async def log_in(connection: OpenedConnection) -> None:
        await connection.call("login", "ann")

    await node.start()
    async with (
        asyncio.timeout(TIMEOUT_S),
        connect(f"ws://127.0.0.1:{node.port}/websocket", on_connect=log_in) as client,
    ):
        mine = await client.subscribe("mine")
        assert await client.call("add.mine", "a") == "ann"
        await node.stop()
        waiting = asyncio.create_task(client.call("add.mine", "b"))
        await node.start()
        assert await waiting == "ann"
        await shows(client, ["a", "b"])
        assert mine.is_active
    await node.stop()
