"""Sessions over live queries: in step, on their own, full, and coming back."""

import asyncio
import gc
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import pytest
import pytest_asyncio

from bolide.core.ddp.digests import document_digest, view_digest
from bolide.core.ddp.messages import (
    Added,
    Changed,
    Connect,
    Have,
    Method,
    Nosub,
    Ping,
    Pong,
    Ready,
    Removed,
    Result,
    Resync,
    ServerMessage,
    Sub,
    Unsub,
    Updated,
    Void,
    Want,
)
from bolide.core.errors import MethodError
from bolide.server import App, Collection, Context, PublicationStrategy
from bolide.server.limits import Limits
from bolide.server.livequery.multiplexer import Multiplexer
from bolide.server.sessions.session import Session
from bolide.server.sessions.view.client_view import DIGESTS_AT_ONCE
from bolide.server.sessions.view.source import FollowedView
from bolide.server.sessions.view.view_change import ViewChange
from bolide.server.stores.base import Change, ChangeBatch, ChangeKind, Position
from bolide.server.testing import TestClient, TestNode


@dataclass
class World:
    """A node with a few wards, and its app."""

    node: TestNode
    wards: Collection
    events: Collection
    proceed: asyncio.Event
    by_hand_of: list[Context]

    def live_query(self) -> Multiplexer:
        (found,) = self.node.node.services.live_queries
        return found

    async def insert(self, *ids: str, **fields: Any) -> None:
        await self.wards.insert_many([{"_id": id, **fields} for id in ids])

    async def insert_events(self, count: int) -> None:
        await self.events.insert_many([{"text": "x" * 100} for _ in range(count)])
        await self.settle()

    async def settle(self) -> None:
        await self.node.settle()


def make_app(
    proceed: asyncio.Event, by_hand_of: list[Context]
) -> tuple[App, Collection, Collection]:
    app = App()
    wards = app.collection("wards")
    events = app.collection("events", strategy=PublicationStrategy.NO_MERGE)

    @app.publish("wards", public=True)
    async def all_wards(ctx: Context) -> object:
        return wards.find()

    @app.publish("wards.big", public=True)
    async def big(ctx: Context, least: int) -> object:
        return wards.find({"beds": {"$gte": least}})

    @app.publish("wards.named", public=True)
    async def named(ctx: Context, name: str) -> object:
        return wards.find({"name": name})

    @app.publish("wards.joined", public=True)
    async def joined(ctx: Context, name: str) -> object:
        return wards.find({"name": name}, children=[lambda ward: wards.find({"in": ward["_id"]})])

    @app.publish("wards.hung", public=True)
    async def hung(ctx: Context) -> object:
        ctx.unblock()
        await proceed.wait()
        return wards.find({"_id": "hung"})

    @app.publish("events", public=True)
    async def publish_events(ctx: Context, count: int) -> None:
        for number in range(count):
            ctx.added("events", str(number), {"text": "x" * 100})
        ctx.ready()

    @app.publish("events.stored", public=True)
    async def stored(ctx: Context) -> object:
        return events.find()

    @app.publish("wards.byHand", public=True)
    async def by_hand(ctx: Context) -> None:
        by_hand_of.append(ctx)
        ctx.ready()

    @app.method("set", public=True)
    async def set_beds(ctx: Context, id: str, beds: int) -> None:
        await wards.update_one({"_id": id}, {"$set": {"beds": beds}})

    @app.method("login", public=True)
    async def login(ctx: Context, user: str) -> None:
        await ctx.set_user_id(user)

    @app.method("large", public=True)
    async def large(ctx: Context) -> str:
        return "x" * 6_000

    return app, wards, events


@pytest_asyncio.fixture
async def world() -> AsyncGenerator[World]:
    proceed = asyncio.Event()
    by_hand_of: list[Context] = []
    app, wards, events = make_app(proceed, by_hand_of)
    limits = Limits(max_outbound_bytes=10_000, max_resync_ids=5, max_resync_bytes=5_000)
    async with TestNode(app, limits=limits) as node:
        world = World(node, wards, events, proceed, by_hand_of)
        await world.insert("a", "b", beds=1)
        yield world
        proceed.set()


def kinds(messages: list[ServerMessage]) -> list[str]:
    return [type(message).__name__ for message in messages]


def since(client: TestClient, number: int) -> list[ServerMessage]:
    client.documents("wards")
    return client.messages[number:]


async def test_a_lone_subscription_is_in_step(world: World) -> None:
    clients = [await world.node.connect() for _ in range(3)]
    for client in clients:
        await client.subscribe("wards")
    await world.settle()
    assert world.live_query().in_step_count == 3
    before = [client.socket.writes for client in clients]
    await world.wards.update_many({}, {"$set": {"beds": 2}})
    await world.settle()
    for client, writes in zip(clients, before, strict=True):
        assert client.socket.writes == writes + 1
        assert {d["beds"] for d in client.documents("wards")} == {2}


class InTheSameTurn:
    """Does something once, after the live queries got a change and before they tell of it."""

    def __init__(self, do: Callable[[], object]) -> None:
        self._do: Callable[[], object] | None = do

    def changes_received(self, batch: ChangeBatch) -> None:
        do, self._do = self._do, None
        if do is not None:
            do()

    def history_lost(self, position: Position) -> None:
        raise AssertionError


async def test_a_second_owner_joins_what_was_told_already(world: World) -> None:
    client = await world.node.connect()
    await client.subscribe("wards")
    await client.subscribe("wards.byHand")
    [by_hand] = world.by_hand_of
    publish = partial(by_hand.added, "wards", "d", {"beds": 3})
    world.node.store.listen(InTheSameTurn(publish))
    await world.insert("c", beds=2)
    await world.settle()
    assert {d["_id"] for d in client.documents("wards")} == {"a", "b", "c", "d"}
    await world.wards.delete_many({"_id": {"$in": ["a", "c"]}})
    await world.settle()
    assert {d["_id"] for d in client.documents("wards")} == {"b", "d"}


async def test_what_waits_is_kept_as_names_once_the_socket_is_full(world: World) -> None:
    client = await world.node.connect()
    await client.subscribe("wards")
    await client.subscribe("wards.big", 0)
    # Changes wait to be sent at the end of the turn; before it the socket is full.
    pause = client.socket.driver.writing_paused
    deliver = world.node.node.services.turn.deliver_later
    world.node.store.listen(InTheSameTurn(partial(deliver, pause)))
    await world.wards.update_one({"_id": "a"}, {"$set": {"beds": 77}})
    await world.settle()
    gc.collect()
    kept = [one for one in gc.get_objects() if isinstance(one, ViewChange)]
    assert not [one for one in kept if one.message == Changed("wards", "a", {"beds": 77})]
    client.socket.driver.writing_resumed()
    await world.settle()
    assert client.document("wards", "a") == {"_id": "a", "beds": 77}


async def test_a_second_subscription_ends_the_step_and_its_end_restores_it(world: World) -> None:
    client = await world.node.connect()
    await client.subscribe("wards")
    second = await client.subscribe("wards.big", 0)
    assert sum(one.in_step_count for one in world.node.node.services.live_queries) == 0
    await world.wards.update_one({"_id": "a"}, {"$set": {"beds": 3}})
    await world.settle()
    assert client.document("wards", "a") == {"_id": "a", "beds": 3}
    await second.stop()
    assert world.live_query().in_step_count == 1
    await world.wards.update_one({"_id": "a"}, {"$set": {"beds": 4}})
    await world.insert("c")
    await world.settle()
    assert len(client.documents("wards")) == 3
    assert client.document("wards", "a") == {"_id": "a", "beds": 4}


async def test_changes_that_a_joining_subscription_overtakes_are_not_lost(world: World) -> None:
    client = await world.node.connect()
    await client.subscribe("wards")
    # The change, the second subscription and its end fall into the same turns.
    write = asyncio.create_task(world.wards.update_one({"_id": "a"}, {"$set": {"beds": 7}}))
    second = client.start_subscription("wards.big", 0)
    await write
    await client.wait_for(lambda: second.is_ready)
    await world.settle()
    assert client.document("wards", "a") == {"_id": "a", "beds": 7}
    await asyncio.gather(world.wards.delete_one({"_id": "a"}), second.stop())
    await world.settle()
    assert [d["_id"] for d in client.documents("wards")] == ["b"]


async def test_a_document_that_moves_between_queries_is_changed(world: World) -> None:
    client = await world.node.connect()
    await client.subscribe("wards.big", 5)
    await client.subscribe("wards.big", 1)
    number = len(client.messages)
    await world.wards.update_one({"_id": "a"}, {"$set": {"beds": 6}})
    await world.settle()
    await world.wards.update_one({"_id": "a"}, {"$set": {"beds": 2}})
    await world.settle()
    assert kinds(since(client, number)) == ["Changed", "Changed"]


async def test_a_join_of_the_same_documents_hides_none_of_a_full_client(world: World) -> None:
    client = await world.node.connect()
    await client.subscribe("wards.named", "x")
    await client.subscribe("wards.joined", "x")  # empty: it shares nothing yet
    client.send(Sub("s", "events", (1,)))
    client.socket.stall()
    await world.settle()
    await world.insert("c", name="x")
    await world.settle()
    client.socket.drain()
    await world.settle()
    assert client.document("wards", "c") == {"_id": "c", "name": "x"}


def tell_live_query(world: World, *changes: tuple[ChangeKind, str, Any]) -> None:
    """Let the only live query learn of changes that no store would take."""
    position: Any = world.node.node.store.feed_position
    batch = [
        Change(position + number, "wards", id, kind, None, after)
        for number, (kind, id, after) in enumerate(changes, start=1)
    ]
    world.node.node.services.live_queries.changes_received(
        ChangeBatch(position + len(batch), batch)
    )


class Patient:
    """A follower that takes everything."""

    def view_joined(self, view: FollowedView) -> None: ...

    def view_changed(self, changes: Sequence[ViewChange]) -> None: ...

    def view_failed(self, error: Exception) -> None: ...


UNSENDABLE = {"name": "\ud800"}


@pytest.mark.parametrize("is_full", [False, True])
async def test_what_cannot_be_sent_is_not_taken_back(world: World, is_full: bool) -> None:
    client = await world.node.connect()
    await client.subscribe("wards")
    if is_full:
        client.socket.stall()
        await world.wards.update_one({"_id": "a"}, {"$set": {"beds": 2}})
        await world.settle()
    tell_live_query(
        world,
        (ChangeKind.INSERT, "c", {"_id": "c"}),
        (ChangeKind.INSERT, "d", {"_id": "d", **UNSENDABLE}),
        (ChangeKind.INSERT, "e", {"_id": "e"}),
        (ChangeKind.UPDATE, "a", {"_id": "a", **UNSENDABLE}),
        (ChangeKind.DELETE, "b", None),
    )
    await world.settle()
    client.socket.drain()
    await world.settle()
    # The client itself checks that it is told nothing of what it does not hold.
    assert client.documents("wards") == []
    assert isinstance(client.messages[-1], Nosub)
    assert client.messages[-1].error is not None


async def test_a_first_result_that_cannot_be_sent_is_not_taken_back(world: World) -> None:
    await world.node.node.services.live_queries.follow(world.wards.find().query, Patient())
    tell_live_query(world, (ChangeKind.INSERT, "c", {"_id": "c", **UNSENDABLE}))
    client = await world.node.connect()
    with pytest.raises(MethodError):
        await client.subscribe("wards")
    assert client.documents("wards") == []


async def test_updated_comes_after_the_data_also_in_step(world: World) -> None:
    client = await world.node.connect()
    await client.subscribe("wards")
    number = len(client.messages)
    await client.call("set", "a", 9)
    assert kinds(since(client, number)) == ["Result", "Changed", "Updated"]


# Slow readers


async def test_what_changes_while_a_client_does_not_read_is_merged(world: World) -> None:
    client = await world.node.connect()
    await client.subscribe("wards")
    client.socket.stall()
    for beds in range(2, 50):
        await world.wards.update_one({"_id": "a"}, {"$set": {"beds": beds}})
        await world.settle()
    await world.wards.delete_one({"_id": "b"})
    await world.insert("c", "d")
    await world.settle()
    await world.wards.delete_one({"_id": "d"})
    await world.settle()
    assert client.socket.driver.session.waiting_documents <= 4
    number = len(client.messages)
    client.socket.drain()
    await world.settle()
    # One change was in the socket already when it was full.
    assert kinds(since(client, number)) == ["Changed", "Changed", "Removed", "Added"]
    assert client.documents("wards") == [{"_id": "a", "beds": 49}, {"_id": "c"}]
    assert world.live_query().in_step_count == 1


async def test_messages_keep_their_place_while_a_client_does_not_read(world: World) -> None:
    client = await world.node.connect()
    await client.subscribe("wards")
    client.socket.stall()
    await world.wards.update_one({"_id": "a"}, {"$set": {"beds": 2}})
    await world.settle()
    client.send(Method("1", "set", ("a", 3)))
    await world.settle()
    client.send(Method("2", "set", ("b", 4)))
    await world.settle()
    client.send(Sub("s", "wards.big", (1,)))
    await world.settle()
    await world.wards.update_many({}, {"$set": {"beds": 5}})
    await world.settle()
    number = len(client.messages)
    client.socket.drain()
    await world.settle()
    messages = since(client, number + 1)  # the one that filled the socket
    places = {
        "result 1": messages.index(Result("1", None)),
        "updated 1": messages.index(Updated(("1",))),
        "updated 2": messages.index(Updated(("2",))),
        "ready": messages.index(Ready(("s",))),
        "a": messages.index(Changed("wards", "a", {"beds": 5})),
        "b": messages.index(Changed("wards", "b", {"beds": 5})),
    }
    assert places["a"] < places["updated 1"] < places["b"] < places["updated 2"] < places["ready"]


async def test_a_client_that_never_reads_is_given_up(world: World) -> None:
    client = await world.node.connect()
    await client.subscribe("wards")
    client.answers_pings = False
    client.socket.stall()
    await world.insert("c")
    await world.settle()
    await world.node.clock.advance(14)
    client.socket.send_frame('{"msg":"pong"}')
    await world.node.clock.advance(15)
    assert client.close_reason is None
    await world.node.clock.advance(1)
    assert client.close_reason == "You read too slowly"


async def test_a_client_that_reads_slowly_is_kept(world: World) -> None:
    client = await world.node.connect()
    await client.subscribe("wards")
    client.answers_pings = False
    client.socket.stall()
    await world.insert("c", text="x" * 200_000)
    await world.settle()
    for _ in range(2):
        client.socket.let_pass(65_536)
        await world.node.clock.advance(14)
        client.socket.send_frame('{"msg":"pong"}')
        await world.node.clock.advance(16)
        client.socket.send_frame('{"msg":"pong"}')
    assert client.close_reason is None


async def test_what_cannot_be_merged_is_limited(world: World) -> None:
    client = await world.node.connect()
    await client.subscribe("wards")
    client.socket.stall()
    await world.insert("c")
    await world.settle()
    for id in ("1", "2"):
        client.send(Method(id, "large"))
        await world.settle()
    assert client.close_reason == "More waits for you than a session may hold"


async def test_strategies_without_views_are_limited(world: World) -> None:
    client = await world.node.connect()
    await client.subscribe("wards")
    client.socket.stall()
    await world.insert("c")
    await world.settle()
    client.send(Sub("s", "events", (30,)))
    await world.settle()
    assert client.close_reason is None
    client.send(Sub("t", "events", (60,)))
    await world.settle()
    assert client.close_reason == "More waits for you than a session may hold"


async def test_changes_of_live_queries_without_views_are_limited(world: World) -> None:
    client = await world.node.connect()
    await client.subscribe("events.stored")
    client.socket.stall()
    await world.insert_events(90)  # the socket takes it before it is full
    await world.insert_events(30)
    assert client.close_reason is None
    await world.insert_events(60)
    assert client.close_reason == "More waits for you than a session may hold"


async def test_documents_without_views_are_limited_during_a_resync(world: World) -> None:
    client = await come_back(world)
    client.send(Sub("e", "events.stored"))
    await world.settle()
    await world.insert_events(30)
    assert client.close_reason is None
    await world.insert_events(60)
    assert client.close_reason == "Too much waits for the end of a comparison of views"


async def test_pings_that_are_not_read_are_limited(world: World) -> None:
    client = await world.node.connect()
    await client.subscribe("wards")
    client.socket.stall()
    await world.insert("c")
    await world.settle()
    for _ in range(100):
        client.send(Ping("x" * 200))
    assert client.close_reason is None
    await world.settle()
    assert client.close_reason == "More waits for you than a session may hold"


# Coming back


async def come_back(world: World) -> TestClient:
    socket = world.node.open_socket()
    client = TestClient(socket)
    client.send(Connect("1", ("1",), bolide={"resync": True}))
    await world.settle()
    return client


def digests(documents: Mapping[str, dict[str, Any]]) -> dict[str, bytes]:
    return {id: document_digest(fields) for id, fields in documents.items()}


HELD = {"a": {"beds": 1}, "b": {"beds": 1}}


async def test_an_unchanged_view_is_not_sent_again(world: World) -> None:
    client = await come_back(world)
    client.send(Sub("s", "wards"))
    await world.settle()
    assert kinds(since(client, 0)) == ["Connected"]
    client.send(Resync(("s",), {"wards": view_digest(digests(HELD))}))
    await world.settle()
    assert since(client, 1) == [Want(()), Ready(("s",))]
    client.hold("wards", HELD)
    await world.wards.update_one({"_id": "a"}, {"$set": {"beds": 2}})
    await world.settle()
    assert client.document("wards", "a") == {"_id": "a", "beds": 2}
    assert world.live_query().in_step_count == 1


@pytest.mark.parametrize("is_sole", [True, False])
async def test_others_have_their_turn_while_a_large_view_is_digested(
    world: World, is_sole: bool
) -> None:
    count = 5 * DIGESTS_AT_ONCE
    await world.insert(*(f"d{number}" for number in range(count)), beds=1)
    held = {**HELD, **{f"d{number}": {"beds": 1} for number in range(count)}}
    client = await come_back(world)
    client.send(Sub("all", "wards"))
    if not is_sole:
        client.send(Sub("two", "wards.named", ["nobody"]))
    await world.settle()
    client.send(Resync(("all", "two"), {"wards": view_digest(digests(held))}))
    client.send(Ping("1"))
    for beds in (2, 1):
        await world.wards.update_one({"_id": "d0"}, {"$set": {"beds": beds}})
    await world.settle()
    told = since(client, 1)
    assert [type(message) for message in told] == [Pong, Want, Ready]
    assert told[1] == Want(())


async def test_a_digest_is_of_the_view_of_now(world: World) -> None:
    stays = await world.node.connect()
    await stays.subscribe("wards")
    held = dict(HELD)
    for beds in (1, 2, 3):
        await world.wards.update_one({"_id": "a"}, {"$set": {"beds": beds}})
        await world.settle()
        held["a"] = {"beds": beds}
        client = await come_back(world)
        client.send(Sub("s", "wards"))
        client.send(Resync(("s",), {"wards": view_digest(digests(held))}))
        await world.settle()
        assert since(client, 1) == [Want(()), Ready(("s",))]


async def test_a_changed_view_is_sent_as_its_difference(world: World) -> None:
    held = {**HELD, "a": {"beds": 7, "old": True}, "gone": {"beds": 1}}
    await world.insert("new", beds=4)
    client = await come_back(world)
    client.send(Sub("s", "wards"))
    client.send(Resync(("s",), {"wards": view_digest(digests(held)), "other": bytes(16)}))
    await world.settle()
    assert since(client, 1) == [Want(("other", "wards"))]
    client.hold("wards", held)
    # What changes meanwhile is in the difference.
    await world.wards.update_one({"_id": "b"}, {"$set": {"beds": 5}})
    await world.settle()
    have = {"wards": digests(held), "other": {"x": bytes(16), "~5": bytes(16), "~": bytes(16)}}
    (first, *rest) = have["wards"].items()
    client.send(Have({"wards": dict([first]), "unasked": {"z": bytes(16)}}, more=True))
    await world.settle()
    assert len(since(client, 0)) == 2
    client.hold("other", {"x": {}})
    client.hold("other", {5: {}})
    client.send(Have({"wards": dict(rest)}))
    await world.settle()
    assert len(since(client, 0)) == 2 + 4 + 1
    assert since(client, 2)[-1] == Ready(("s",))
    assert {m.id: m.fields for m in client.messages if isinstance(m, Added) and m.replace} == {
        "a": {"beds": 1},
        "b": {"beds": 5},
    }
    assert client.messages.count(Removed("wards", "gone")) == 1
    assert {d["_id"]: d["beds"] for d in client.documents("wards")} == {"a": 1, "b": 5, "new": 4}


async def test_changes_between_the_comparison_and_the_end_are_sent(world: World) -> None:
    await world.events.insert_one({"_id": "e"})
    client = await come_back(world)
    client.send(Sub("s", "wards"))
    client.send(Sub("e", "events", (1,)))
    views = {"wards": view_digest(digests(HELD)), "events": bytes(16), "left": bytes(16)}
    client.send(Resync(("s", "e", "unknown"), views))
    await world.settle()
    assert since(client, 1) == [Want(("events", "left"))]
    client.hold("wards", HELD)
    await world.wards.update_one({"_id": "a"}, {"$set": {"beds": 8}})
    await world.settle()
    client.send(Have({"events": {}, "left": {}}))
    await world.settle()
    assert kinds(since(client, 2)) == ["Changed", "Added", "Ready"]
    assert client.document("wards", "a") == {"_id": "a", "beds": 8}


async def test_what_is_not_merged_is_removed_before_it_is_sent_anew(world: World) -> None:
    client = await come_back(world)
    client.send(Sub("e", "events", (2,)))
    client.send(Resync(("e",), {"events": bytes(16)}))
    await world.settle()
    assert since(client, 1) == [Want(("events",))]
    held = {"1": {"text": "old"}, "9": {"text": "old"}}
    client.hold("events", held)
    client.send(Have({"events": digests(held)}))
    await world.settle()
    assert kinds(since(client, 2)) == ["Removed", "Removed", "Added", "Added", "Ready"]
    assert [d["_id"] for d in client.documents("events")] == ["0", "1"]


async def test_a_void_resync_sends_what_is_not_merged_once(world: World) -> None:
    client = await come_back(world)
    client.send(Sub("e", "events", (1,)))
    client.send(Resync(("e",), {"events": bytes(16)}))
    client.send(Method("1", "login", ("ada",)))
    await world.settle()
    assert kinds(since(client, 2)) == ["Void", "Added", "Ready", "Result", "Updated"]


def fail(*args: object) -> None:
    raise RuntimeError


async def test_a_session_that_cannot_write_ends_and_the_others_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken, well = await world.node.connect(), await world.node.connect()
    await well.subscribe("wards")

    monkeypatch.setattr(broken.socket, "send", fail)
    broken.send(Sub("s", "wards"))
    await world.insert("c")
    await world.settle()
    assert broken.close_reason == "The server failed; connect again"
    assert len(well.documents("wards")) == 3


async def test_a_session_that_cannot_compare_ends_and_the_others_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(DIGESTS_AT_ONCE):
        await world.insert(f"w{number}")
    monkeypatch.setattr(Session, "make_digests", fail)
    client, well = await come_back(world), await world.node.connect()
    client.send(Sub("s", "wards"))
    client.send(Resync(("s",), {"wards": bytes(16)}))
    await well.subscribe("wards")
    await world.settle()
    assert client.close_reason == "The server failed; connect again"
    assert len(well.documents("wards")) == DIGESTS_AT_ONCE + 2


async def test_a_comparison_includes_what_was_not_told_yet(world: World) -> None:
    # The client saw the new ward on another node.
    held = {**HELD, "c": {"beds": 2}}
    client = await come_back(world)
    client.send(Sub("s", "wards"))
    await world.settle()
    resync = Resync(("s",), {"wards": view_digest(digests(held))})
    client.hold("wards", held)
    world.node.store.listen(InTheSameTurn(partial(client.send, resync)))
    await world.insert("c", beds=2)
    await world.settle()
    assert since(client, 1) == [Want(()), Ready(("s",))]


async def test_the_end_of_a_resync_includes_what_was_not_told_yet(world: World) -> None:
    held = {**HELD, "c": {"beds": 2}}
    client = await come_back(world)
    client.send(Sub("s", "wards"))
    client.send(Resync(("s",), {"wards": bytes(16)}))
    await world.settle()
    client.hold("wards", held)
    have = Have({"wards": digests(held)})
    world.node.store.listen(InTheSameTurn(partial(client.send, have)))
    await world.insert("c", beds=2)
    await world.settle()
    assert since(client, 1) == [Want(("wards",)), Ready(("s",))]


async def test_what_left_and_came_back_at_the_end_of_a_resync_is_replaced(world: World) -> None:
    client = await come_back(world)
    client.send(Sub("s", "wards.big", (3,)))
    client.send(Resync(("s",), {"wards": bytes(16)}))
    await world.settle()
    held = {"a": {"beds": 5, "spoilt": True}}
    client.hold("wards", held)
    client.send(Have({"wards": digests(held)}))
    # It is in no result when the views are compared, and in one before anything is sent.
    assert kinds(since(client, 0)) == ["Connected", "Want"]
    tell_live_query(world, (ChangeKind.UPDATE, "a", {"_id": "a", "beds": 5}))
    await world.settle()
    assert client.documents("wards") == [{"_id": "a", "beds": 5}]


async def test_a_document_is_replaced_once_however_often_it_is_named(world: World) -> None:
    client = await come_back(world)
    client.send(Sub("s", "wards"))
    client.send(Resync(("s",), {"wards": bytes(16)}))
    await world.settle()
    client.hold("wards", HELD)
    named = {"a": bytes(16), "-a": bytes(16), '~"a"': bytes(16), "b": bytes(16)}
    client.send(Have({"wards": named}))
    await world.settle()
    assert kinds(since(client, 2)) == ["Added", "Added", "Ready"]
    assert client.close_reason is None


async def test_a_hanging_subscription_holds_up_the_others_for_a_while_only(world: World) -> None:
    await world.insert("hung")
    client = await come_back(world)
    client.send(Sub("h", "wards.hung"))
    client.send(Sub("s", "wards.big", (1,)))
    client.send(Resync(("s", "h"), {"wards": view_digest(digests(HELD))}))
    await world.settle()
    assert kinds(since(client, 0)) == ["Connected"]
    await world.node.clock.advance(10)
    assert since(client, 1) == [Want(()), Ready(("s",))]
    client.hold("wards", HELD)
    world.proceed.set()
    await world.settle()
    assert since(client, 3) == [Added("wards", "hung", {}), Ready(("h",))]


async def test_a_refused_subscription_is_told_after_the_documents(world: World) -> None:
    client = await come_back(world)
    client.send(Sub("s", "wards"))
    client.send(Sub("n", "nothing"))
    client.send(Resync(("s", "n"), {}))
    await world.settle()
    assert kinds(since(client, 1)) == ["Want", "Added", "Added", "Ready", "Nosub"]
    assert isinstance(client.messages[-1], Nosub)


async def test_an_id_that_is_used_again_is_ready_after_its_nosub(world: World) -> None:
    client = await come_back(world)
    for message in (Sub("s", "wards"), Unsub("s"), Sub("s", "wards"), Resync(("s",), {})):
        client.send(message)
        await world.settle()
    messages = since(client, 1)
    assert [m for m in messages if isinstance(m, Ready | Nosub)] == [
        Ready(("s",)),
        Nosub("s"),
        Ready(("s",)),
    ]


async def test_calls_are_answered_after_the_resync(world: World) -> None:
    client = await come_back(world)
    client.send(Sub("s", "wards"))
    client.send(Resync(("s",), {"wards": bytes(16)}))
    client.send(Method("1", "set", ("a", 3)))
    await world.settle()
    assert since(client, 1) == [Want(("wards",))]
    client.send(Have({"wards": {}}))
    await world.settle()
    assert kinds(since(client, 2)) == ["Added", "Added", "Ready", "Result", "Updated"]
    assert client.document("wards", "a") == {"_id": "a", "beds": 3}


async def test_another_user_makes_a_resync_void(world: World) -> None:
    client = await come_back(world)
    client.send(Method("1", "login", ("ada",)))
    client.send(Sub("s", "wards"))
    client.send(Resync(("s",), {"wards": view_digest(digests(HELD))}))
    await world.settle()
    assert kinds(since(client, 1)) == ["Void", "Result", "Updated", "Added", "Added", "Ready"]
    assert isinstance(client.messages[1], Void)


async def test_a_client_may_log_in_before_it_says_what_it_holds(world: World) -> None:
    client = await come_back(world)
    # What was published for nobody is not sent.
    client.send(Sub("s", "wards"))
    client.send(Method("1", "login", ("ada",)))
    await world.settle()
    assert kinds(since(client, 1)) == ["Result"]
    client.send(Resync(("s",), {"wards": view_digest(digests(HELD))}))
    await world.settle()
    assert kinds(since(client, 2)) == ["Want", "Ready", "Updated"]
    client.hold("wards", HELD)
    await world.wards.update_one({"_id": "a"}, {"$set": {"beds": 8}})
    await world.settle()
    assert kinds(since(client, 5)) == ["Changed"]


async def test_results_of_any_size_and_number_come_before_a_client_says_what_it_holds(
    world: World,
) -> None:
    client = await come_back(world)
    client.send(Method("large", "large", ()))
    for number in range(39):
        client.send(Method(str(number), "set", ("a", number)))
    await world.settle()
    assert kinds(since(client, 1)) == ["Result"] * 40


async def test_a_resync_that_comes_during_the_login_waits_for_it(world: World) -> None:
    client = await come_back(world)
    client.send(Sub("h", "wards.hung"))
    await world.settle()
    client.send(Method("1", "login", ("ada",)))
    await world.settle()
    client.send(Resync((), {"wards": bytes(16)}))
    await world.settle()
    assert kinds(since(client, 0)) == ["Connected"]
    world.proceed.set()
    await world.settle()
    assert kinds(since(client, 1)) == ["Want"]
    client.hold("wards", HELD)
    client.send(Have({"wards": digests(HELD)}))
    await world.settle()
    assert kinds(since(client, 2)) == ["Removed", "Removed", "Ready", "Result", "Updated"]


async def test_another_user_in_the_middle_makes_a_resync_void(world: World) -> None:
    client = await come_back(world)
    client.send(Sub("s", "wards"))
    client.send(Resync(("s",), {"wards": bytes(16), "x": bytes(16)}))
    client.send(Method("1", "login", ("ada",)))
    await world.settle()
    assert kinds(since(client, 1)) == [
        "Want", "Void", "Added", "Added", "Ready", "Result", "Updated"
    ]  # fmt: skip
    # The client sent these before it knew.
    client.send(Have({}))
    client.send(Resync((), {}))
    await world.settle()
    assert len(since(client, 1)) == 7


async def test_what_changes_at_the_end_of_a_user_change_is_told_once(world: World) -> None:
    client = await world.node.connect()
    await client.subscribe("wards")
    client.send(Sub("h", "wards.hung"))
    client.send(Method("m", "login", ("u",)))
    await world.settle()
    await world.insert("c")
    await world.settle()
    await world.wards.delete_one({"_id": "c"})
    await asyncio.sleep(0)  # the live query knows, nobody was told yet
    client.socket.driver.session.end_user_change()
    client.socket.driver.pump()
    await world.settle()
    # The client itself checks that it is told nothing of what it does not hold.
    assert [document["_id"] for document in client.documents("wards")] == ["a", "b"]


@pytest.mark.parametrize("wants", [False, True])
async def test_a_client_that_does_not_go_on_is_given_up(world: World, wants: bool) -> None:
    client = await come_back(world)
    if wants:
        client.send(Resync((), {"wards": bytes(16)}))
        await world.settle()
    await world.node.clock.advance(9 if wants else 59)
    assert client.close_reason is None
    await world.node.clock.advance(1)
    assert client.close_reason == "The client asked for a resync and did not go on with it"


async def test_the_documents_of_a_resync_are_limited(world: World) -> None:
    client = await come_back(world)
    client.send(Resync((), {"wards": bytes(16)}))
    await world.settle()
    client.send(Have({"wards": {str(number): bytes(16) for number in range(6)}}))
    await world.settle()
    assert client.close_reason == "You hold more documents than a resync may name"


async def test_the_bytes_of_a_resync_are_limited(world: World) -> None:
    client = await come_back(world)
    client.send(Resync((), {"wards": bytes(16)}))
    await world.settle()
    for number in range(2):
        client.send(Have({"wards": {f"{number}{'x' * 2_000}": bytes(16)}}, more=True))
        await world.settle()
        assert client.close_reason is None
    client.send(Have({"wards": {"y" * 2_000: bytes(16)}}, more=True))
    await world.settle()
    assert client.close_reason == "You hold more documents than a resync may name"


async def test_a_resync_that_was_not_asked_for_is_a_bad_request(world: World) -> None:
    client = await world.node.connect(bolide=True)
    for message in (Resync((), {}), Have({})):
        client.send(message)
        await world.settle()
        assert kinds(since(client, 0)[-1:]) == ["Error"]


async def test_move_reaches_only_who_knows_it(world: World) -> None:
    plain, knowing = await world.node.connect(), await world.node.connect(bolide=True)
    for client in (plain, knowing):
        client.socket.driver.session.move(5)
        client.socket.driver.pump()
    await world.settle()
    assert kinds(since(plain, 1)) == []
    assert json.loads(knowing.socket.frames[-1]) == {"msg": "bolide.move", "within": 5}
