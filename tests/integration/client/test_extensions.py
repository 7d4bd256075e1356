"""The Python SDK and real nodes: resyncs, calls that run at most once, stubs and moves."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.conftest import Server

from bolide.client import (
    Added,
    Backoff,
    Client,
    ConnectionState,
    OpenedConnection,
    Query,
    Simulation,
    connect,
)
from bolide.client.ddp.conversation import Conversation
from bolide.server import App, Context, Settings

TIMEOUT_S = 20
NEVER = Backoff(eager_delay_s=1e6)
SOON = Backoff(eager_delay_s=0.01, base_s=0.01)


def make_app(store: Path, runs: list[str]) -> App:
    app = App(Settings(store=f"sqlite:///{store}"))
    tasks = app.collection("tasks")

    @app.publish("tasks", public=True)
    async def publish(ctx: Context) -> object:
        return tasks.find({})

    @app.publish(None, public=True)
    async def publish_person(ctx: Context) -> None:
        ctx.added("people", "me", {"name": "Ada"})
        ctx.ready()

    @app.method("put", public=True)
    async def put(ctx: Context, id: str, rank: int) -> None:
        await tasks.update_one({"_id": id}, {"$set": {"rank": rank}}, upsert=True)

    @app.method("drop", public=True)
    async def drop(ctx: Context, id: str) -> None:
        await tasks.delete_one({"_id": id})

    @app.method("add", public=True)
    async def add(ctx: Context, rank: int) -> object:
        return (await tasks.insert_one({"rank": rank})).inserted_id

    @app.method("log in", public=True)
    async def log_in(ctx: Context, name: str) -> None:
        await ctx.set_user_id(name)

    @app.method("add and lose", public=True)
    async def add_and_lose(ctx: Context, rank: int) -> object:
        """Close the session of the first run before its answer is sent."""
        runs.append("run")
        added = await tasks.insert_one({"rank": rank})
        assert ctx.session is not None
        ctx.session.close()
        return added.inserted_id

    return app


class Node:
    """A node that can be stopped and started again on the same port."""

    def __init__(self, store: Path) -> None:
        self._store = store
        self.runs: list[str] = []
        self.port = 0

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/websocket"

    async def start(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port))
        self.port = listener.getsockname()[1]
        self.app = make_app(self._store, self.runs)
        self._server = Server(self.app.asgi)
        await self._server.start(listener)

    async def stop(self) -> None:
        await self._server.stop()


@pytest_asyncio.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[list[Node]]:
    """Return two nodes on one store."""
    nodes = [Node(tmp_path / "tasks.db") for _ in range(2)]
    async with AsyncExitStack() as stack:
        for node in nodes:
            await node.start()
            stack.push_async_callback(node.stop)
        yield nodes


@pytest.fixture
def received(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the kinds of the data messages that clients receive, as they come."""
    kinds: list[str] = []
    receive_frame = Conversation.receive_frame

    def receive(conversation: Conversation, frame: str, now: float) -> None:
        kind = json.loads(frame)["msg"]
        if kind in ("added", "changed", "removed", "bolide.resync"):
            kinds.append(kind)
        receive_frame(conversation, frame, now)

    monkeypatch.setattr(Conversation, "receive_frame", receive)
    return kinds


def tasks(client: Client) -> Query:
    return client.collection("tasks").find({}, sort=[("rank", 1)])


async def shows(client: Client, expected: dict[str, int]) -> None:
    async with asyncio.timeout(TIMEOUT_S), aclosing(tasks(client).results()) as results:
        async for documents in results:
            if {document["_id"]: document["rank"] for document in documents} == expected:
                return


async def state(client: Client, wanted: ConnectionState) -> None:
    async with asyncio.timeout(TIMEOUT_S), aclosing(client.statuses()) as statuses:
        async for status in statuses:
            if status.state is wanted and not status.catching_up:
                return


async def test_client_comes_back_to_a_node_that_knows_nothing_of_it_and_gets_only_the_difference(
    nodes: list[Node], received: list[str]
) -> None:
    first, second = nodes
    async with connect(first.url, backoff=NEVER) as reader, connect(second.url) as writer:
        await reader.subscribe("tasks")
        for rank in range(20):
            await writer.call("put", f"t{rank}", rank)
        await shows(reader, {f"t{rank}": rank for rank in range(20)})
        await first.stop()
        await state(reader, ConnectionState.WAITING)
        await writer.call("put", "t1", 100)
        await writer.call("drop", "t2")
        await writer.call("put", "new", 5)
        await first.start()
        received.clear()
        reader.reconnect()
        expected = {f"t{rank}": rank for rank in range(20) if rank != 2} | {"t1": 100, "new": 5}
        await shows(reader, expected)
        assert sorted(received) == ["added", "added", "bolide.resync", "removed"]


async def test_unchanged_view_costs_no_document(nodes: list[Node], received: list[str]) -> None:
    first, _ = nodes
    async with connect(first.url, backoff=NEVER) as reader:
        await reader.subscribe("tasks")
        for rank in range(20):
            await reader.call("put", f"t{rank}", rank)
        changes = tasks(reader).changes()
        for _ in range(20):
            assert isinstance(await anext(changes), Added)
        await first.stop()
        await state(reader, ConnectionState.WAITING)
        received.clear()
        await first.start()
        reader.reconnect()
        await state(reader, ConnectionState.CONNECTED)
        await reader.call("put", "last", 50)
        assert received == ["bolide.resync", "added"]
        change = await anext(changes)
        assert (type(change), change.id) == (Added, "last")
        await changes.aclose()


async def test_unchanged_view_of_a_person_who_logs_in_again_costs_no_document(
    nodes: list[Node], received: list[str]
) -> None:
    async def log_in(connection: OpenedConnection) -> None:
        await connection.call("log in", "ada")

    first, _ = nodes
    async with connect(first.url, backoff=NEVER, on_connect=log_in) as reader:
        await reader.call("put", "t", 1)
        await reader.subscribe("tasks")
        await first.stop()
        await state(reader, ConnectionState.WAITING)
        received.clear()
        await first.start()
        reader.reconnect()
        await state(reader, ConnectionState.CONNECTED)
        assert received == ["bolide.resync"]
        await reader.call("put", "t", 2)
        await shows(reader, {"t": 2})


async def test_documents_without_a_subscription_come_back_as_well(
    nodes: list[Node], received: list[str]
) -> None:
    first, _ = nodes
    async with connect(first.url, backoff=NEVER) as reader:
        assert await anext(reader.collection_names()) == "people"
        await first.stop()
        await state(reader, ConnectionState.WAITING)
        received.clear()
        await first.start()
        reader.reconnect()
        await state(reader, ConnectionState.CONNECTED)
        await reader.call("put", "a", 1)
        assert not reader.status.catching_up
        assert received == ["bolide.resync"]
        assert reader.collection("people").find_one("me") == {"_id": "me", "name": "Ada"}


async def test_call_whose_answer_was_lost_runs_once(nodes: list[Node]) -> None:
    first, _ = nodes
    async with connect(first.url, backoff=SOON) as client:
        await client.subscribe("tasks")
        inserted = await asyncio.wait_for(client.call("add and lose", 1), TIMEOUT_S)
        await shows(client, {inserted: 1})
    assert first.runs == ["run"]


async def test_call_is_answered_by_another_node(nodes: list[Node]) -> None:
    first, second = nodes
    secret = "s" * 32
    async with connect(first.url, client_id=secret) as client:
        inserted = await client.call("add", 1, call_id="order 7")
    async with connect(second.url, client_id=secret) as client:
        assert await client.call("add", 1, call_id="order 7") == inserted
        await client.subscribe("tasks")
        await shows(client, {inserted: 1})


async def test_call_waits_for_the_restart_of_a_node(nodes: list[Node]) -> None:
    first, _ = nodes
    async with connect(first.url, backoff=SOON) as client:
        await first.stop()
        await state(client, ConnectionState.WAITING)
        call = asyncio.create_task(client.call("add", 1))
        await first.start()
        assert isinstance(await asyncio.wait_for(call, TIMEOUT_S), str)


async def test_stub_draws_the_id_of_the_server_and_nothing_flickers(nodes: list[Node]) -> None:
    async with connect(nodes[0].url) as client:

        @client.stub("add")
        def add(sim: Simulation, rank: int) -> None:
            sim.collection("tasks").insert({"rank": rank})

        await client.subscribe("tasks")
        changes: list[Any] = []

        async def watch() -> None:
            changes.extend([change async for change in tasks(client).changes()])

        watching = asyncio.create_task(watch())
        inserted = await client.call("add", 1)
        await shows(client, {inserted: 1})
    await watching
    assert changes == [Added(inserted, 0, {"_id": inserted, "rank": 1})]


async def test_client_moves_to_another_node_before_its_own_stops(
    nodes: list[Node], received: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = nodes
    monkeypatch.setattr("bolide.client.connection.link.random.random", lambda: 0.0)
    async with connect([first.url, second.url]) as client:
        await client.subscribe("tasks")
        await client.call("put", "a", 1)
        await shows(client, {"a": 1})
        received.clear()
        node = first.app.asgi.node
        assert node is not None
        node.drain(TIMEOUT_S)
        async with asyncio.timeout(TIMEOUT_S):
            while not received:
                await client.call("put", "a", 1)
        assert received == ["bolide.resync"]
        assert client.status.state is ConnectionState.CONNECTED
        await first.stop()
        await client.call("put", "b", 2)
        await shows(client, {"a": 1, "b": 2})
        await first.start()
