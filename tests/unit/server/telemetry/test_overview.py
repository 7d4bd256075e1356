"""The overview of a node: what waits, what costs, and nothing that anybody typed."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress

import msgspec
import pytest
import pytest_asyncio
from tests.unit.server.held_store import HeldStore

from bolide.core.errors import AuthError, StateError
from bolide.server import AccessRequest, App, Context
from bolide.server.livequery.advice.statistics import LiveQueryStatistics
from bolide.server.node import Node
from bolide.server.stores.memory import MemoryStore
from bolide.server.telemetry.overview import MAX_PUBLICATIONS, Overview, take_overview
from bolide.server.testing import TestNode, TestSocket

MARK = "Ada-1815"


def make_app(gate: asyncio.Event) -> App:
    app = App()
    tasks = app.collection("tasks")

    @app.publish("tasks.of", public=True)
    async def tasks_of(ctx: Context, ward: str) -> object:
        return tasks.find({"ward": ward})

    @app.publish("tasks.first", public=True)
    async def first_tasks(ctx: Context, ward: str, limit: int) -> object:
        return tasks.find({"ward": ward}, sort=[("rank", 1)], limit=limit, skip=1)

    @app.publish("tasks.late", public=True)
    async def late_tasks(ctx: Context) -> None:
        await gate.wait()

    @app.method("tasks.add", public=True)
    async def add(ctx: Context, id: str, ward: str) -> None:
        await tasks.insert_one({"_id": id, "ward": ward, "rank": 1})

    @app.method("tasks.wait", public=True)
    async def wait(ctx: Context) -> None:
        await gate.wait()

    @app.method("login", public=True)
    async def login(ctx: Context, user_id: str) -> None:
        await ctx.set_user_id(user_id)

    return app


@pytest.fixture
def gate() -> asyncio.Event:
    return asyncio.Event()


@pytest_asyncio.fixture
async def node(gate: asyncio.Event) -> AsyncGenerator[TestNode]:
    async with TestNode(make_app(gate)) as node:
        yield node


async def rows_of(node: TestNode) -> tuple[LiveQueryStatistics, ...]:
    return (await take_overview(node.node)).live_query_rows


async def test_a_session_is_told_without_what_was_typed_in_it(node: TestNode) -> None:
    client = await node.connect(bolide=True)
    await client.call("login", MARK)
    await client.call("tasks.add", MARK, MARK)
    for _ in range(2):
        await client.subscribe("tasks.of", MARK)
    await node.clock.advance(7)
    overview = await take_overview(node.node)
    (row,) = overview.session_rows
    (driver,) = node.node.sessions
    assert driver.session.id.startswith(row.id)
    assert len(row.id) == 6
    assert (row.age_s, row.is_logged_in, row.speaks_bolide, row.address) == (
        7,
        True,
        True,
        "127.0.0.1",
    )
    (publication,) = row.publications
    assert (publication.name, publication.state, publication.count) == ("tasks.of", "ready", 2)
    assert (row.subscriptions, row.documents, row.messages_received) == (2, 1, 5)
    assert not row.is_full
    assert MARK not in msgspec.json.encode(overview).decode()
    totals = overview.sessions
    assert (totals.count, totals.subscriptions, totals.documents) == (1, 2, 1)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ("10.0.0.7", "10.0.0.7"),
        ("2001:DB8::7", "2001:db8::7"),
        (f"fe80::1%{MARK}", "fe80::1"),
        (MARK, None),
        ("", None),
        (None, None),
    ],
)
async def test_an_address_is_told_if_it_is_one(
    node: TestNode, given: str | None, told: str | None
) -> None:
    node.node.open_session(TestSocket(), client_address=given)
    (row,) = (await take_overview(node.node)).session_rows
    assert row.address == told


async def test_what_waits_in_a_session_is_told(node: TestNode, gate: asyncio.Event) -> None:
    idle, client, writer = [await node.connect() for _ in range(3)]
    await idle.subscribe("tasks.of", "8")
    await client.subscribe("tasks.of", "7")
    client.start_subscription("tasks.late")
    client.socket.send_frame('{"msg":"method","id":"w","method":"tasks.wait","params":[]}')
    client.socket.stall()
    for number in range(2):
        await writer.call("tasks.add", str(number), "7")
    overview = await take_overview(node.node)
    first = overview.session_rows[0]
    assert first.is_full
    assert first.socket_bytes > 0
    assert (first.waiting_documents, first.queued_messages, first.methods_in_flight) == (1, 1, 0)
    states = {(one.name, one.state) for one in first.publications}
    assert states == {("tasks.of", "ready"), ("tasks.late", "starting")}
    assert (overview.sessions.full, overview.sessions.waiting_documents) == (1, 1)
    gate.set()
    client.socket.drain()


async def test_an_unknown_publication_is_not_named(node: TestNode) -> None:
    """A client may ask for a name with a value in it; until it is refused there is a run of it."""
    client = await node.connect()
    looking = asyncio.create_task(take_overview(node.node))
    await asyncio.sleep(0)  # it has counted, and tells of the session in the next turn
    client.start_subscription(MARK)
    (row,) = (await looking).session_rows
    assert [(one.name, one.state) for one in row.publications] == [("(unknown)", "starting")]


async def test_a_universal_publication_is_ready_and_has_no_name() -> None:
    app = App()

    @app.publish(None, public=True)
    async def everybody(ctx: Context) -> None: ...

    async with TestNode(app) as node:
        await node.connect()
        (row,) = (await take_overview(node.node)).session_rows
        assert [(one.name, one.state) for one in row.publications] == [("(universal)", "ready")]


async def test_a_subscription_that_runs_again_says_so(gate: asyncio.Event) -> None:
    app = App()
    tasks = app.collection("tasks")
    allowed = {"read"}

    def authorize(request: AccessRequest) -> bool:
        return request.permission in allowed

    app.authorize = authorize

    @app.publish("tasks")
    async def all_tasks(ctx: Context) -> object:
        ctx.require("read")
        with suppress(AuthError):
            ctx.require("more")
            await gate.wait()
        return tasks.find({})

    async with TestNode(app) as node:
        client = await node.connect()
        await client.subscribe("tasks")
        allowed.add("more")
        app.access_changed(None)
        (row,) = (await take_overview(node.node)).session_rows
        (publication,) = row.publications
        assert (publication.state, publication.count, row.subscriptions) == ("running again", 1, 1)
        gate.set()
        await node.settle()
        (row,) = (await take_overview(node.node)).session_rows
        assert [one.state for one in row.publications] == ["ready"]


async def test_publications_of_a_session_are_capped() -> None:
    app = App()
    number = MAX_PUBLICATIONS + 5

    async def nothing(ctx: Context) -> None:
        ctx.ready()

    for n in range(number):
        app.publish(f"p{n}", public=True)(nothing)
    async with TestNode(app) as node:
        client = await node.connect()
        for n in range(number):
            await client.subscribe(f"p{n}")
        (row,) = (await take_overview(node.node)).session_rows
        assert (row.subscriptions, len(row.publications)) == (number, MAX_PUBLICATIONS)


async def test_a_live_query_is_told_by_its_shape_and_cost(node: TestNode) -> None:
    client = await node.connect()
    await client.subscribe("tasks.of", MARK)
    await client.subscribe("tasks.first", MARK, 1815)
    await client.call("tasks.add", "a", MARK)
    window, plain = sorted(await rows_of(node), key=lambda row: row.driver, reverse=True)
    assert (plain.collection, plain.selector) == ("tasks", "{ward: ?}")
    assert (plain.driver, plain.state, plain.followers) == ("index eq ward", "live", 1)
    assert not plain.has_limit
    assert not plain.has_skip
    assert (plain.documents_published, plain.changes_seen, plain.changes_told) == (1, 1, 1)
    assert plain.cost_s == plain.matching_s + plain.reading_s
    assert min(plain.matching_s, plain.reading_s) > 0
    assert (window.driver, window.sort) == ("window", "rank")
    assert window.has_limit
    assert window.has_skip
    assert window.reason == "sorted, with skip and limit; changes found by index eq ward"
    overview = await take_overview(node.node)
    assert "1815" not in msgspec.json.encode(overview).decode()
    totals = overview.live_queries
    assert (totals.count, totals.followers, totals.waiting, totals.changes_seen) == (2, 2, 0, 2)
    assert totals.documents_published == 1
    assert totals.cost_s == pytest.approx(plain.cost_s + window.cost_s)
    assert {plain.number, window.number} == {1, 2}


async def test_a_live_query_that_is_read_says_why(gate: asyncio.Event) -> None:
    store = HeldStore()
    async with TestNode(make_app(gate), store=store) as node:
        client = await node.connect()
        store.hold("tasks")
        subscription = client.start_subscription("tasks.of", "7")
        await store.held()
        (row,) = await rows_of(node)
        assert (row.state, row.rereads, row.reread_because) == ("read first", 0, "")
        store.release()
        await client.wait_for(lambda: subscription.is_ready)
        store.hold("tasks")
        node.node.services.live_queries.history_lost(store.feed_position)
        await store.held()
        (row,) = await rows_of(node)
        assert row.state == "read again: history lost"
        assert (await take_overview(node.node)).live_queries.waiting == 1
        store.release()
        await node.node.services.live_queries.idle()
        (row,) = await rows_of(node)
        assert (row.state, row.rereads, row.reread_because) == ("live", 1, "history lost")


async def test_rows_are_cut_and_totals_are_not(node: TestNode) -> None:
    for number in range(3):
        client = await node.connect()
        await client.subscribe("tasks.of", str(number))
    overview = await take_overview(node.node, rows=2)
    assert (len(overview.session_rows), len(overview.live_query_rows)) == (2, 2)
    assert (overview.sessions.count, overview.live_queries.count) == (3, 3)
    first, second = overview.live_query_rows
    assert first.cost_s >= second.cost_s


async def test_many_sessions_are_looked_at_in_several_turns(node: TestNode) -> None:
    dearest = 300
    for number in range(600):
        client = await node.connect()
        if number == dearest:
            await client.subscribe("tasks.of", "7")
            await client.call("tasks.add", "a", "7")
    looking = asyncio.create_task(take_overview(node.node, rows=1))
    turns = 0
    while not looking.done():
        turns += 1
        await asyncio.sleep(0)
    overview = await looking
    assert turns >= 3
    assert overview.sessions.count == 600
    assert [row.documents for row in overview.session_rows] == [1]


async def test_the_node_tells_what_it_is_and_whether_it_drains(node: TestNode) -> None:
    await node.clock.advance(5)
    told = (await take_overview(node.node)).node
    assert (told.state, told.store, told.store_bytes) == ("ready", "memory", 0)
    assert told.uptime_s == 5
    node.node.drain(60)
    assert (await take_overview(node.node)).node.state == "draining"


async def test_a_node_that_does_not_run_has_no_overview() -> None:
    node = Node(App(), MemoryStore())
    assert node.uptime_s == 0
    with pytest.raises(StateError):
        await take_overview(node)


async def test_an_overview_is_read_back_as_it_was(node: TestNode) -> None:
    client = await node.connect()
    await client.subscribe("tasks.of", "7")
    overview = await take_overview(node.node)
    assert msgspec.json.decode(msgspec.json.encode(overview), type=Overview) == overview
