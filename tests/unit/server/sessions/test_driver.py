"""Handlers, live queries and sessions together, on the memory store and a clock that stands."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
import structlog

from bolide.core.ddp.messages import Added, Changed, Method, Nosub, Ready, Removed
from bolide.core.errors import LocalProtocolError, MethodError, StateError
from bolide.core.values import UNDEFINED, Regex
from bolide.server.app import App
from bolide.server.arguments import Pattern
from bolide.server.context import Context
from bolide.server.limits import Limits
from bolide.server.sessions.ratelimit import RateLimitRule
from bolide.server.stores.base import HeldInMemory
from bolide.server.testing import TestClient, TestNode


def make_app() -> App:
    """Make an app with a few handlers that everybody may use."""
    app = App()
    tasks = app.collection("tasks")
    app.collection("others")

    @app.publish("tasks.all", public=True)
    async def all_tasks(ctx: Context) -> object:
        return tasks.find({})

    @app.publish("tasks.open", public=True)
    async def open_tasks(ctx: Context) -> object:
        return tasks.find({"done": False})

    @app.publish("tasks.first", public=True)
    async def first_tasks(ctx: Context) -> object:
        return tasks.find({}, sort=[("rank", 1)], limit=2)

    @app.method("tasks.add", public=True)
    async def add(ctx: Context, id: str, rank: int) -> str:
        await tasks.insert_one({"_id": id, "rank": rank, "done": False})
        return id

    @app.method("tasks.finish", public=True)
    async def finish(ctx: Context, id: str) -> None:
        await tasks.update_one({"_id": id}, {"$set": {"done": True}})

    @app.method("tasks.insert", public=True)
    async def insert(ctx: Context) -> str:
        id: str = (await tasks.insert_one({"rank": 1})).inserted_id
        return id

    @app.method("tasks.nested", public=True)
    async def nested(ctx: Context) -> list[str]:
        return [await ctx.call("tasks.insert"), await ctx.call("tasks.insert")]

    @app.method("login", public=True)
    async def login(ctx: Context, user_id: str | None) -> None:
        await ctx.set_user_id(user_id)

    return app


def kinds(client: TestClient) -> list[str]:
    return [type(message).__name__ for message in client.messages]


async def test_a_subscriber_sees_what_others_write() -> None:
    async with TestNode(make_app()) as node:
        one, two = await node.connect(), await node.connect()
        subscription = await one.subscribe("tasks.open")
        await two.call("tasks.add", "a", 1)
        assert await one.received(Added) == Added("tasks", "a", {"rank": 1, "done": False})
        await two.call("tasks.finish", "a")
        assert await one.received(Removed) == Removed("tasks", "a")
        await two.subscribe("tasks.all")
        assert two.documents("tasks") == [{"_id": "a", "rank": 1, "done": True}]
        await subscription.stop()
        await one.close()


async def test_a_method_shows_its_data_before_updated() -> None:
    async with TestNode(make_app()) as node:
        client = await node.connect()
        await client.subscribe("tasks.all")
        assert await client.call("tasks.add", "a", 1) == "a"
        assert kinds(client)[-3:] in (
            ["Added", "Result", "Updated"],
            ["Result", "Added", "Updated"],
        )


async def test_a_window_moves_with_the_data() -> None:
    async with TestNode(make_app()) as node:
        client = await node.connect()
        await client.subscribe("tasks.first")
        for id, rank in (("c", 3), ("b", 2), ("a", 1)):
            await client.call("tasks.add", id, rank)
        assert {document["_id"] for document in client.documents("tasks")} == {"a", "b"}


async def test_equal_subscriptions_share_a_query_and_end_alone() -> None:
    async with TestNode(make_app()) as node:
        clients = [await node.connect() for _ in range(3)]
        subscriptions = await asyncio.gather(*(c.subscribe("tasks.all") for c in clients))
        live_queries = node.node.services.live_queries
        assert len(live_queries) == 1
        await subscriptions[0].stop()
        await clients[1].call("tasks.add", "a", 1)
        assert clients[0].documents("tasks") == []
        assert clients[2].document("tasks", "a") is not None
        for subscription in subscriptions[1:]:
            await subscription.stop()
        assert len(live_queries) == 0


async def test_what_is_unknown_is_404() -> None:
    async with TestNode(make_app()) as node:
        client = await node.connect()
        with (
            structlog.testing.capture_logs() as records,
            pytest.raises(MethodError, match="Method 'no' not found") as method,
        ):
            await client.call("no")
        (told,) = [record for record in records if record["event"] == "refused"]
        assert (told["error"], told["method"], told["log_level"]) == (404, "(unknown)", "info")
        with (
            structlog.testing.capture_logs() as records,
            pytest.raises(MethodError, match="Subscription 'no' not found") as publication,
        ):
            await client.subscribe("no")
        (told,) = [record for record in records if record["event"] == "refused"]
        assert (told["error"], told["publication"]) == (404, "(unknown)")
        assert (method.value.error, publication.value.error) == (404, 404)


async def test_wrong_arguments_are_400_and_named() -> None:
    async with TestNode(make_app()) as node:
        client = await node.connect()
        for args in (("a", "one"), ("a",), ("a", 1, 2), ({"$gt": ""}, 1)):
            with pytest.raises(MethodError) as caught:
                await client.call("tasks.add", *args)
            assert caught.value.error == 400
        with pytest.raises(MethodError) as caught:
            await client.subscribe("tasks.all", 1)
        assert caught.value.error == 400


async def test_only_a_method_error_crosses_the_wire() -> None:
    app = make_app()

    @app.publish("p", public=True)
    async def publish(ctx: Context, kind: str) -> None:
        ctx.error(MethodError("mine", "My words.")) if kind == "own" else ctx.error(KeyError("x"))

    @app.method("m", public=True)
    async def method(ctx: Context, kind: str) -> None:
        raise MethodError("mine", "My words.", {"a": 1}) if kind == "own" else KeyError("secret")

    async with TestNode(app) as node:
        client = await node.connect()
        for ask in (client.call, client.subscribe):
            name = "m" if ask == client.call else "p"
            with pytest.raises(MethodError, match=r"My words. \[mine\]"):
                await ask(name, "own")
            with pytest.raises(MethodError) as caught:
                await ask(name, "other")
            assert (caught.value.error, caught.value.reason) == (500, "Internal server error")


@pytest.mark.parametrize("kind", ["throws", "twice", "rubbish", "list", "cancelled", "selector"])
async def test_a_publish_function_that_fails_ends_its_subscription_only(kind: str) -> None:
    app = make_app()
    tasks = app.collection("more")

    @app.publish("bad", public=True)
    async def bad(ctx: Context) -> object:
        match kind:
            case "throws":
                ctx.added("more", "1", {})
                raise RuntimeError("no")
            case "twice":
                return [tasks.find({}), tasks.find({"a": 1})]
            case "rubbish":
                return 5
            case "list":
                return [tasks.find({}), 5]
            case "cancelled":
                raise asyncio.CancelledError
            case _:
                return tasks.find({"$no": 1})

    async with TestNode(app) as node:
        client = await node.connect()
        await client.subscribe("tasks.all")
        with pytest.raises(MethodError) as caught:
            await client.subscribe("bad")
        assert caught.value.error == 500
        assert client.documents("more") == []
        await client.call("tasks.add", "a", 1)
        assert client.document("tasks", "a") is not None


async def test_a_publish_function_that_hangs_is_ended() -> None:
    app = make_app()
    was_cancelled = asyncio.Event()

    @app.publish("hangs", public=True)
    async def hangs(ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            was_cancelled.set()

    async with TestNode(app) as node:
        client, other = await node.connect(), await node.connect()
        subscription = client.start_subscription("hangs")
        await other.call("tasks.add", "a", 1)
        await node.clock.advance(29)
        assert not subscription.is_stopped
        await node.clock.advance(1)
        nosub = await client.received(Nosub)
        assert nosub.error is not None
        assert nosub.error.error == "timeout"
        assert was_cancelled.is_set()
        await client.call("tasks.add", "b", 1)


async def test_a_publish_function_that_is_ready_may_go_on_and_frees_the_queue() -> None:
    app = make_app()

    @app.publish("feed", public=True)
    async def feed(ctx: Context) -> None:
        ctx.ready()
        await asyncio.Event().wait()

    async with TestNode(app) as node:
        client = await node.connect()
        subscription = await client.subscribe("feed")
        assert not subscription.is_stopped
        call = asyncio.create_task(client.call("tasks.add", "a", 1))
        await node.settle()
        assert not call.done()
        await node.clock.advance(30)
        assert await call == "a"
        await subscription.stop()


async def test_a_publication_may_drive_its_documents_itself() -> None:
    app = make_app()
    stopped: list[str] = []
    contexts: list[Context] = []

    @app.publish("low", public=True)
    async def low(ctx: Context) -> None:
        contexts.append(ctx)

        async def tell() -> None:
            stopped.append("async")

        def fail() -> None:
            raise RuntimeError("in on_stop")

        ctx.on_stop(lambda: stopped.append("sync"))
        ctx.on_stop(tell)
        ctx.on_stop(fail)
        ctx.added("low", "1", {"x": 1, "y": 1})

    async with TestNode(app) as node:
        client = await node.connect()
        subscription = client.start_subscription("low")
        await client.received(Added)
        (ctx,) = contexts
        ctx.changed("low", "1", {"x": 2, "y": UNDEFINED})
        assert await client.received(Changed) == Changed("low", "1", {"x": 2}, ("y",))
        ctx.ready()
        ctx.ready()
        await client.received(Ready)
        ctx.removed("low", "1")
        await client.received(Removed)
        ctx.stop()
        assert await client.received(Nosub) == Nosub(subscription.id)
        await node.settle()
        assert sorted(stopped) == ["async", "sync"]
        ctx.on_stop(lambda: stopped.append("late"))
        ctx.added("low", "2", {})
        await node.settle()
        assert "late" in stopped
        assert client.documents("low") == []
        with pytest.raises(LocalProtocolError):
            await ctx.set_user_id("u")


async def test_of_each_publication_that_nobody_can_see_one_line_tells() -> None:
    app = make_app()
    tasks = app.collection("found")
    contexts: list[Context] = []

    @app.publish("forgot.return", public=True)
    async def forgot_return(ctx: Context) -> None:
        tasks.find({})

    @app.publish("returned.early", public=True)
    async def returned_early(ctx: Context) -> object:
        return tasks.find({}) if ctx.user_id else None

    @app.publish(None, public=True)
    async def universal(ctx: Context) -> None:
        """Nobody waits for it."""

    @app.publish("is.ready", public=True)
    async def is_ready(ctx: Context) -> None:
        ctx.ready()

    @app.publish("ends", public=True)
    async def ends(ctx: Context) -> None:
        ctx.stop()

    @app.publish("adds", public=True)
    async def adds(ctx: Context) -> None:
        ctx.added("low", "1", {})

    @app.publish("changes", public=True)
    async def changes(ctx: Context) -> None:
        ctx.changed("low", "1", {"x": 1})

    @app.publish("removes", public=True)
    async def removes(ctx: Context) -> None:
        ctx.removed("low", "1")

    @app.publish("goes.on", public=True)
    async def goes_on(ctx: Context) -> None:
        contexts.append(ctx)
        ctx.on_stop(contexts.clear)

    async with TestNode(app) as node:
        with structlog.testing.capture_logs() as logs:
            for _ in range(2):
                client = await node.connect()
                for name in ("forgot.return", "returned.early", "is.ready", "ends"):
                    client.start_subscription(name)
                for name in ("adds", "changes", "removes", "goes.on"):
                    client.start_subscription(name)
                await node.settle()
        told = [(one["event"], one["publication"]) for one in logs if "publication" in one]
        text = (
            "publication will never be ready: its function returned nothing and published nothing;"
            " let it return a cursor, or call ctx.ready()"
        )
        assert told == [(text, "forgot.return"), (text, "returned.early")]


async def test_messages_are_handled_in_order_unless_unblocked() -> None:
    app = make_app()
    gate = asyncio.Event()
    order: list[str] = []

    @app.method("wait", public=True)
    async def wait(ctx: Context, unblock: bool) -> None:
        if unblock:
            ctx.unblock()
        await gate.wait()
        order.append("waited")

    @app.method("note", public=True)
    async def note(ctx: Context, text: str) -> None:
        order.append(text)

    async with TestNode(app) as node:
        client = await node.connect()
        calls = [
            asyncio.create_task(client.call("wait", True)),
            asyncio.create_task(client.call("note", "passes")),
            asyncio.create_task(client.call("wait", False)),
            asyncio.create_task(client.call("note", "waits")),
        ]
        await node.settle()
        assert order == ["passes"]
        gate.set()
        await asyncio.gather(*calls)
        assert order[-1] == "waits"


async def test_a_subscription_that_unblocks_lets_the_next_message_in() -> None:
    app = make_app()
    gate = asyncio.Event()

    @app.publish("slow", public=True)
    async def slow(ctx: Context) -> None:
        ctx.unblock()
        await gate.wait()
        ctx.ready()

    async with TestNode(app) as node:
        client = await node.connect()
        subscription = client.start_subscription("slow")
        await client.call("tasks.add", "a", 1)
        assert not subscription.is_ready
        gate.set()
        await client.received(Ready)


async def test_a_method_that_takes_long_only_loses_its_place() -> None:
    app = make_app()
    gate = asyncio.Event()

    @app.method("long", public=True)
    async def long(ctx: Context) -> str:
        await gate.wait()
        return "done"

    async with TestNode(app) as node:
        client = await node.connect()
        long_call = asyncio.create_task(client.call("long"))
        await node.settle()
        await node.clock.advance(60)
        await client.call("tasks.add", "a", 1)
        gate.set()
        assert await long_call == "done"


async def test_of_each_method_that_takes_long_one_line_tells() -> None:
    app = make_app()
    gate = asyncio.Event()

    @app.method("long", public=True)
    async def long(ctx: Context) -> None:
        ctx.unblock()
        await gate.wait()

    async with TestNode(app) as node:
        client, other = await node.connect(), await node.connect()
        with structlog.testing.capture_logs() as logs:

            def told() -> int:
                return [one["event"] for one in logs].count("method takes long")

            calls = [asyncio.create_task(one.call("long")) for one in (client, other)]
            await node.settle()
            await node.clock.advance(30)
            calls.append(asyncio.create_task(client.call("long")))
            await node.settle()
            await other.close()
            await node.clock.advance(29)
            assert told() == 0
            await node.clock.advance(1)
            assert told() == 2  # though one of the clients is gone
            await node.clock.advance(29)
            assert told() == 2
            await node.clock.advance(1)
            assert told() == 3
            await node.clock.advance(200)
            assert told() == 3
        gate.set()
        await asyncio.gather(calls[0], calls[2])
        with pytest.raises(AssertionError, match="closed"):
            await calls[1]


async def test_a_method_that_ended_after_its_session_is_not_watched() -> None:
    app = make_app()
    gate = asyncio.Event()

    @app.method("long", public=True)
    async def long(ctx: Context) -> None:
        await gate.wait()

    async with TestNode(app) as node:
        client = await node.connect()
        call = asyncio.create_task(client.call("long"))
        await node.settle()
        await client.close()
        gate.set()
        await node.settle()
        with structlog.testing.capture_logs() as logs:
            await node.clock.advance(100)
        assert logs == []
        with pytest.raises(AssertionError, match="closed"):
            await call


async def test_a_method_outlives_its_client() -> None:
    app = make_app()
    gate, finished = asyncio.Event(), asyncio.Event()

    @app.method("pressed", public=True)
    async def pressed(ctx: Context) -> None:
        await gate.wait()
        finished.set()

    async with TestNode(app) as node:
        client = await node.connect()
        call = asyncio.create_task(client.call("pressed"))
        await node.settle()
        await client.close()
        gate.set()
        await asyncio.wait_for(finished.wait(), 5)
        with pytest.raises(AssertionError):
            await call


async def test_ids_come_from_the_callers_seed() -> None:
    async def ids() -> list[Any]:
        async with TestNode(make_app()) as node:
            client = await node.connect()
            first = await client.call("tasks.insert", random_seed="seed")
            return [first, *await client.call("tasks.nested", random_seed="seed")]

    first, second = await ids(), await ids()
    assert first == second
    assert len(set(first)) == 3


async def test_a_nested_call_decides_for_itself() -> None:
    app = make_app()

    @app.method("closed")
    async def closed(ctx: Context) -> None:
        pass

    @app.method("outer", public=True)
    async def outer(ctx: Context, name: str) -> None:
        await ctx.call(name)

    async with TestNode(app) as node:
        client = await node.connect()
        with pytest.raises(MethodError) as caught:
            await client.call("outer", "closed")
        assert caught.value.error == 500
        with pytest.raises(MethodError) as caught:
            await client.call("outer", "missing")
        assert caught.value.error == 404


async def test_nothing_leaves_without_a_decision() -> None:
    app = make_app()
    tasks = app.collection("more")

    @app.publish("undecided")
    async def undecided(ctx: Context, kind: str) -> object:
        match kind:
            case "cursor":
                return tasks.find({})
            case "read":
                await tasks.find_one({})
            case "added":
                ctx.added("more", "1", {})
            case _:
                ctx.ready()
        return None

    @app.method("undecided")
    async def method(ctx: Context, write: bool) -> str:
        if write:
            await tasks.insert_one({"_id": "x"})
        return "result"

    async with TestNode(app) as node:
        client = await node.connect()
        for kind in ("cursor", "read", "added", "ready"):
            with pytest.raises(MethodError) as caught:
                await client.subscribe("undecided", kind)
            assert caught.value.error == 500
        for write in (False, True):
            with pytest.raises(MethodError) as caught:
                await client.call("undecided", write)
            assert caught.value.error == 500
        assert await tasks.count_documents({}) == 0


async def test_who_is_logged_in_decides_what_is_seen() -> None:
    app = make_app()
    notes = app.collection("notes")

    @app.publish("mine")
    async def mine(ctx: Context) -> object:
        return notes.find({"owner": ctx.require_login()})

    @app.publish(None, public=True)
    async def me(ctx: Context) -> None:
        if ctx.user_id:
            ctx.added("me", ctx.user_id, {"name": ctx.user_id.upper()})

    async with TestNode(app) as node:
        for number, owner in enumerate(["ann", "ann", "bob"]):
            await notes.insert_one({"_id": str(number), "owner": owner})
        client = await node.connect()
        with pytest.raises(MethodError) as caught:
            await client.subscribe("mine")
        assert caught.value.error == 403
        await client.call("login", "ann")
        await client.subscribe("mine")
        await client.subscribe("tasks.all")
        assert [note["_id"] for note in client.documents("notes")] == ["0", "1"]
        assert client.documents("me") == [{"_id": "ann", "name": "ANN"}]
        await client.call("login", "bob")
        assert [note["_id"] for note in client.documents("notes")] == ["2"]
        assert client.documents("me") == [{"_id": "bob", "name": "BOB"}]
        await client.call("login", None)
        assert client.documents("notes") == []
        assert client.documents("me") == []
        await client.call("tasks.add", "a", 1)
        assert client.document("tasks", "a") is not None


async def test_the_user_cannot_change_after_unblock() -> None:
    app = make_app()

    @app.method("late", public=True)
    async def late(ctx: Context) -> None:
        ctx.unblock()
        with pytest.raises(LocalProtocolError, match="after calling unblock"):
            await ctx.set_user_id("u")

    async with TestNode(app) as node:
        await (await node.connect()).call("late")


async def test_methods_do_not_publish() -> None:
    app = make_app()

    @app.method("publishes", public=True)
    async def publishes(ctx: Context) -> None:
        uses: list[Callable[[], object]] = [
            lambda: ctx.added("c", "1", {}),
            lambda: ctx.changed("c", "1", {}),
            lambda: ctx.removed("c", "1"),
            ctx.ready,
            ctx.stop,
            lambda: ctx.error(KeyError()),
            lambda: ctx.on_stop(print),
        ]
        for use in uses:
            with pytest.raises(LocalProtocolError):
                use()

    async with TestNode(app) as node:
        await (await node.connect()).call("publishes")


async def test_too_many_requests_are_refused() -> None:
    app = make_app()
    app.rate_limits.append(
        RateLimitRule(type="method", connection_id=lambda _: True, num_requests=2, interval_s=10)
    )
    async with TestNode(app) as node:
        one, two = await node.connect(), await node.connect()
        await one.call("tasks.add", "a", 1)
        await one.call("tasks.add", "b", 1)
        with pytest.raises(MethodError, match="too many requests"):
            await one.call("tasks.add", "c", 1)
        await two.call("tasks.add", "d", 1)
        await one.subscribe("tasks.all")
        assert {task["_id"] for task in one.documents("tasks")} == {"a", "b", "d"}


async def test_a_result_that_is_no_value_is_an_error() -> None:
    app = make_app()

    @app.method("object", public=True)
    async def returns_object(ctx: Context) -> object:
        return object()

    async with TestNode(app) as node:
        with pytest.raises(MethodError) as caught:
            await (await node.connect()).call("object")
        assert caught.value.error == 500


async def test_a_handler_learns_about_its_session_and_may_close_it() -> None:
    app = make_app()

    @app.method("about", public=True)
    async def about(ctx: Context) -> dict[str, Any]:
        assert ctx.session is not None
        headers = dict(ctx.session.headers)
        return {"address": ctx.session.client_address, "headers": headers}

    @app.method("leave", public=True)
    async def leave(ctx: Context) -> None:
        assert ctx.session is not None
        ctx.session.close()

    async with TestNode(app) as node:
        headers = {"User-Agent": "test", "Cookie": "secret=1"}
        client = await node.connect(address="10.1.1.1", headers=headers)
        assert await client.call("about") == {
            "address": "10.1.1.1",
            "headers": {"user-agent": "test"},
        }
        with pytest.raises(AssertionError):
            await client.call("leave")
        assert client.close_reason == "The application closed the session"


async def test_a_version_that_nobody_speaks_is_refused() -> None:
    async with TestNode(make_app()) as node:
        with pytest.raises(ConnectionRefusedError):
            await node.connect(support=["9"])
        assert await node.connect(support=["pre1"])


async def test_a_silent_client_is_closed_after_thirty_seconds() -> None:
    async with TestNode(make_app()) as node:
        client = await node.connect()
        client.answers_pings = False
        await node.clock.advance(29)
        assert client.close_reason is None
        await node.clock.advance(1)
        assert client.close_reason == "The client did not answer a ping"
        assert node.node.session_count == 0


async def test_a_client_that_never_connects_is_closed() -> None:
    async with TestNode(make_app()) as node:
        socket = node.open_socket()
        await node.clock.advance(10)
        assert socket.close_reason == "No connect message came in time"
        assert socket.was_at_fault


async def test_a_frame_that_is_no_message_harms_nobody() -> None:
    async with TestNode(make_app(), limits=Limits(max_json_depth=8)) as node:
        client, other = await node.connect(), await node.connect()
        for frame in ("{", "[" * 100, '{"msg":"sub"}', '{"msg":"method","params":[1e999]}'):
            client.socket.send_frame(frame)
        client.socket.driver.receive_bad_frame()
        await node.settle()
        assert [frame[:14] for frame in client.socket.frames[1:]] == ['{"msg":"error"'] * 5
        await client.call("tasks.add", "a", 1)
        await other.call("tasks.add", "b", 1)


async def test_everything_of_one_turn_is_one_write() -> None:
    async with TestNode(make_app()) as node:
        client = await node.connect()
        await client.subscribe("tasks.all")
        writes = client.socket.writes
        for frame in ('{"msg":"ping","id":"1"}', '{"msg":"ping","id":"2"}'):
            client.socket.send_frame(frame)
        await node.settle()
        assert client.socket.writes == writes + 1


async def test_a_node_that_stops_closes_its_sessions() -> None:
    node = TestNode(make_app())
    async with node:
        client = await node.connect()
        call = asyncio.create_task(client.subscribe("tasks.all"))
        await call
    assert client.close_reason == "The server is shutting down"
    assert not node.node.is_ready
    with pytest.raises(StateError):
        node.open_socket()
    with pytest.raises(StateError):
        _ = node.node.services


async def test_startup_hooks_run_before_the_first_session() -> None:
    app = make_app()
    tasks = app.collection("seeded")

    @app.on_startup
    async def seed() -> None:
        await tasks.insert_one({"_id": "1"})

    @app.publish("seeded", public=True)
    async def seeded(ctx: Context) -> object:
        return tasks.find()

    async with TestNode(app) as node:
        client = await node.connect()
        await client.subscribe("seeded")
        assert client.documents("seeded") == [{"_id": "1"}]


async def test_a_startup_hook_that_fails_stops_the_node() -> None:
    app = make_app()

    @app.on_startup
    async def fail() -> None:
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        async with TestNode(app):
            pass


async def test_metrics_count_what_happened() -> None:
    async with TestNode(make_app()) as node:
        client = await node.connect()
        await client.subscribe("tasks.all")
        await client.call("tasks.add", "a", 1)
        text = node.node.metrics.exposition().decode()
        assert "bolide_sessions 1.0" in text
        assert "bolide_subscriptions 1.0" in text
        assert "bolide_live_queries 1.0" in text
        assert isinstance(node.store, HeldInMemory)
        assert f"bolide_store_bytes {node.store.document_bytes:.1f}" in text
        assert 'bolide_method_seconds_count{method="tasks.add",outcome="ok"} 1.0' in text
        with pytest.raises(MethodError):
            await client.call("a name with PHI")
        assert "PHI" not in node.node.metrics.exposition().decode()
        await client.close()
        assert "bolide_sessions 0.0" in node.node.metrics.exposition().decode()


async def test_a_flood_of_pings_is_answered_and_harms_nobody() -> None:
    async with TestNode(make_app()) as node:
        client, other = await node.connect(), await node.connect()
        for number in range(5_000):
            client.socket.send_frame(f'{{"msg":"ping","id":"{number}"}}')
        await other.call("tasks.add", "a", 1)
        await node.settle()
        assert sum("pong" in frame for frame in client.socket.frames) == 5_000


async def test_a_flood_of_subscriptions_and_calls_meets_limits() -> None:
    limits = Limits(max_subscriptions=10, max_methods_in_flight=10)
    async with TestNode(make_app(), limits=limits) as node:
        client, other = await node.connect(), await node.connect()
        for number in range(100):
            client.start_subscription("tasks.all")
            client.socket.send_frame(
                f'{{"msg":"method","id":"m{number}","method":"tasks.insert","params":[]}}'
            )
        await other.call("tasks.add", "a", 1)
        await node.settle()
        assert len(client.socket.driver.session.subscriptions) == 10
        await client.call("tasks.add", "b", 1)
        assert client.document("tasks", "b") is not None
        assert client.close_reason is None


async def test_a_regular_expression_that_takes_for_ever_fails_alone() -> None:
    app = make_app()
    names = app.collection("names")

    @app.publish("search", public=True)
    async def search(ctx: Context, pattern: Pattern) -> object:
        return names.find({"name": pattern})

    async with TestNode(app) as node:
        await names.insert_one({"_id": "1", "name": "a" * 40 + "!"})
        client, other = await node.connect(), await node.connect()
        with pytest.raises(MethodError) as caught:
            await client.subscribe("search", Regex("^(a|a)*$"))
        assert caught.value.error == 500
        await other.call("tasks.add", "a", 1)
        await client.subscribe("search", Regex("^a+!$"))
        assert len(client.documents("names")) == 1


# What an application or a client does wrong harms nobody else


async def test_a_user_change_after_the_end_of_the_session_starts_nothing() -> None:
    app, proceed = make_app(), asyncio.Event()
    wards = app.collection("wards")
    ran: list[str | None] = []

    @app.publish(None, public=True)
    async def for_everybody(ctx: Context) -> object:
        ran.append(ctx.user_id)
        return wards.find({})

    @app.method("login.late", public=True)
    async def login(ctx: Context) -> None:
        await proceed.wait()
        await ctx.set_user_id("ada")

    async with TestNode(app) as node:
        client = await node.connect()
        client.send(Method("1", "login.late", ()))
        await node.settle()
        await client.close()
        proceed.set()
        await node.settle()
        assert ran == [None]
        assert len(node.node.services.live_queries) == 0


async def test_a_user_change_after_the_end_of_the_method_is_refused() -> None:
    app, ended = make_app(), asyncio.Event()
    refused: list[type[Exception]] = []
    tasks: list[asyncio.Task[None]] = []

    @app.method("login.background", public=True)
    async def login(ctx: Context) -> None:
        async def later() -> None:
            await ended.wait()
            try:
                await ctx.set_user_id("ada")
            except LocalProtocolError as error:
                refused.append(type(error))

        tasks.append(asyncio.create_task(later()))

    async with TestNode(app) as node:
        client = await node.connect()
        await client.call("login.background")
        ended.set()
        await node.settle()
        assert refused == [LocalProtocolError]


async def test_a_nested_call_has_the_user_of_its_caller_and_may_change_it() -> None:
    app, proceed = make_app(), asyncio.Event()

    @app.method("who", public=True)
    async def who(ctx: Context) -> str | None:
        return ctx.user_id

    @app.method("who.later", public=True)
    async def who_later(ctx: Context) -> list[str | None]:
        ctx.unblock()
        await proceed.wait()
        return [ctx.user_id, await ctx.call("who")]

    @app.method("login.nested", public=True)
    async def login_nested(ctx: Context) -> str | None:
        await ctx.call("login", "cleo")
        return ctx.user_id

    async with TestNode(app) as node:
        client = await node.connect()
        await client.call("login", "ada")
        later = asyncio.create_task(client.call("who.later"))
        await node.settle()
        await client.call("login", "bob")
        proceed.set()
        assert await later == ["ada", "ada"]
        assert await client.call("login.nested") == "cleo"


async def test_a_user_change_does_not_wait_for_a_handler_that_is_ready_and_goes_on() -> None:
    app = make_app()

    @app.publish("endless", public=True)
    async def endless(ctx: Context) -> None:
        ctx.unblock()
        ctx.added("state", "1", {"user": ctx.user_id})
        ctx.ready()
        await asyncio.Event().wait()

    async with TestNode(app) as node:
        client = await node.connect()
        await client.subscribe("endless")
        await client.call("login", "ada")
        assert client.documents("state") == [{"_id": "1", "user": "ada"}]


async def test_what_waits_for_a_user_change_is_limited() -> None:
    app, proceed = make_app(), asyncio.Event()

    @app.publish("slow.user", public=True)
    async def slow(ctx: Context) -> None:
        ctx.unblock()
        if ctx.user_id is not None:
            await proceed.wait()
        ctx.ready()

    async with TestNode(app, limits=Limits(max_outbound_bytes=10_000)) as node:
        client = await node.connect()
        await client.subscribe("slow.user")
        client.send(Method("1", "login", ("ada",)))
        await node.settle()
        for _ in range(11):
            client.socket.send_frame(f'{{"msg":"connect","x":"{"x" * 1000}"}}')
        await node.settle()
        reason = client.close_reason
        proceed.set()
    assert reason == "Too much waits for the end of a comparison of views"


class Unwritable:
    """A value that cannot be written as JSON."""

    def type_name(self) -> str:
        return "unwritable"

    def to_json_value(self) -> Any:
        raise ValueError("no JSON")


@pytest.mark.parametrize("bolide", [False, True])
async def test_a_result_larger_than_one_may_be_is_an_error_and_the_session_goes_on(
    bolide: bool,
) -> None:
    app = make_app()

    @app.method("export", public=True)
    async def export(ctx: Context, length: int) -> str:
        return "x" * length

    @app.method("refuse", public=True)
    async def refuse(ctx: Context) -> None:
        raise MethodError("full", "No bed is free.", "x" * 3_000)

    async with TestNode(app, limits=Limits(max_result_bytes=2_000)) as node:
        client = await node.connect(bolide=bolide)
        with structlog.testing.capture_logs() as logs:
            for name, args in (("export", (3_000,)), ("refuse", ())):
                with pytest.raises(MethodError) as caught:
                    await client.call(name, *args)
                assert caught.value.error == "result-too-large"
                assert isinstance(caught.value.details, dict)
                assert caught.value.details["limit"] == 2_000
                assert str(caught.value.details["size"]) in str(caught.value)
        refused = [one for one in logs if one["event"] == "refused"]
        assert refused[0]["code"] == "result-too-large"
        assert refused[0]["method"] == "export"
        assert await client.call("export", 1_000) == "x" * 1_000


async def test_a_result_that_cannot_be_sent_is_an_internal_error() -> None:
    app = make_app()

    @app.method("unwritable", public=True)
    async def unwritable(ctx: Context) -> object:
        return Unwritable()

    async with TestNode(app) as node:
        client = await node.connect()
        with pytest.raises(MethodError) as caught:
            await client.call("unwritable")
        assert caught.value.error == 500


async def test_an_error_whose_details_cannot_be_sent_is_an_internal_error() -> None:
    app = make_app()
    details: Any = {"when": object()}

    @app.method("bad.details", public=True)
    async def method(ctx: Context) -> None:
        raise MethodError("bad", None, details)

    @app.publish("bad.details", public=True)
    async def publication(ctx: Context) -> None:
        raise MethodError("bad", None, details)

    async with TestNode(app) as node:
        client = await node.connect()
        for asked in (client.call, client.subscribe):
            with pytest.raises(MethodError) as caught:
                await asked("bad.details")
            assert caught.value.error == 500


async def test_a_document_that_cannot_be_sent_is_not_taken_back() -> None:
    app = make_app()

    @app.publish("unwritable", public=True)
    async def unwritable(ctx: Context) -> None:
        ctx.added("values", "1", {})
        for publish in (ctx.added, ctx.changed):
            with pytest.raises(ValueError, match="no JSON"):
                publish("values", "1" if publish == ctx.changed else "2", {"a": Unwritable()})
        ctx.ready()

    async with TestNode(app) as node:
        client = await node.connect()
        subscription = await client.subscribe("unwritable")
        await subscription.stop()
        assert kinds(client) == ["Connected", "Added", "Ready", "Removed", "Nosub"]


async def test_a_stop_callback_has_the_rights_of_its_publication() -> None:
    app = make_app()
    wards = app.collection("wards")
    outcomes: list[str] = []

    @app.publish("undecided")
    async def undecided(ctx: Context) -> None:
        async def read() -> None:
            try:
                await wards.find({}).to_list()
            except StateError as error:
                outcomes.append(error.code)

        ctx.on_stop(read)
        ctx.stop()
        ctx.on_stop(read)

    async with TestNode(app) as node:
        client = await node.connect()
        await client.subscribe("undecided")
        await node.settle()
        assert outcomes == ["undecided-access", "undecided-access"]


async def test_a_task_of_a_method_may_write_while_its_fence_is_awaited() -> None:
    app = make_app()
    others = [app.collection(f"others{number}") for number in range(20)]
    started: list[asyncio.Task[None]] = []

    @app.publish("others.first", public=True)
    async def first(ctx: Context) -> object:
        return others[0].find({}, limit=2)

    @app.method("background", public=True)
    async def background(ctx: Context) -> None:
        async def later() -> None:
            for other in others:
                await other.insert_one({})
                await asyncio.sleep(0)

        await others[0].insert_one({})
        started.append(asyncio.create_task(later()))

    async with TestNode(app) as node:
        client = await node.connect()
        await client.subscribe("others.first")
        with structlog.testing.capture_logs() as records:
            await client.call("background")
            await node.settle()
        assert [record for record in records if record["log_level"] == "error"] == []
