"""Calls that are sent twice run once: over one node, over two, and after one has died."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import structlog
from tests.turns import yield_once

from bolide.core.ddp.messages import CallId, Method
from bolide.core.errors import MethodError
from bolide.server import App, Collection, Context
from bolide.server.limits import Limits
from bolide.server.settings import Settings
from bolide.server.stores.base import Insert, Query
from bolide.server.stores.own_collections import CALLS
from bolide.server.stores.sqlite import SQLiteStore
from bolide.server.testing import FakeClock, TestClient, TestNode

CLIENT = "c" * 16


@dataclass
class World:
    """A node, its app, and what its handlers did."""

    node: TestNode
    tasks: Collection
    runs: list[str] = field(default_factory=list[str])
    proceed: asyncio.Event = field(default_factory=asyncio.Event)

    async def call(self, client: TestClient, name: str, *args: Any, call: str = "1") -> Any:
        return await client.call(name, *args, call=CallId(CLIENT, call))

    async def titles(self) -> list[str]:
        return [d["title"] for d in await self.tasks.find().to_list()]


def make_app(world: Callable[[], World]) -> tuple[App, Collection]:
    app = App()
    tasks = app.collection("tasks")

    @app.publish("tasks", public=True)
    async def publish(ctx: Context) -> object:
        return tasks.find()

    @app.method("add", public=True)
    async def add(ctx: Context, title: str) -> str:
        world().runs.append(title)
        await tasks.insert_one({"title": title})
        await world().proceed.wait()
        return title.upper()

    @app.method("refuse", public=True)
    async def refuse(ctx: Context) -> None:
        world().runs.append("refuse")
        await tasks.insert_one({"title": "half"})
        raise MethodError("full", "No bed is free.", {"beds": 0})

    @app.method("fail", public=True)
    async def fail(ctx: Context) -> None:
        world().runs.append("fail")
        await tasks.insert_one({"title": "half"})
        raise RuntimeError

    @app.method("look", public=True)
    async def look(ctx: Context) -> int:
        world().runs.append("look")
        return await tasks.count_documents({})

    @app.method("both", public=True)
    async def both(ctx: Context) -> datetime:
        world().runs.append("both")
        async with app.transaction():
            await tasks.insert_one({"title": "one"})
            await tasks.insert_one({"title": "two"})
        await ctx.call("nothing")
        return datetime(2026, 1, 1, tzinfo=UTC)

    @app.method("nothing", public=True)
    async def nothing(ctx: Context) -> None:
        await tasks.update_one({"title": "one"}, {"$set": {"done": True}})

    @app.method("log_in", public=True)
    async def log_in(ctx: Context, user_id: str | None) -> None:
        await ctx.set_user_id(user_id)

    @app.method("large", public=True)
    async def large(ctx: Context) -> str:
        await tasks.insert_one({"title": "large"})
        return "x" * 2_000

    @app.method("long", public=True)
    async def long(ctx: Context, length: int) -> str:
        world().runs.append("long")
        await tasks.insert_one({"title": "long"})
        return "x" * length

    @app.method("stubborn", public=True)
    async def stubborn(ctx: Context, title: str) -> str:
        world().runs.append(title)
        await world().proceed.wait()
        try:
            await tasks.insert_one({"title": title})
        except Exception:
            return "caught"
        return "written"

    return app, tasks


@asynccontextmanager
async def running(
    path: Path | None = None, clock: FakeClock | None = None, **limits: int
) -> AsyncGenerator[World]:
    worlds: list[World] = []
    app, tasks = make_app(lambda: worlds[0])
    settings = Settings(limits=Limits(**{"max_stored_result_bytes": 1_000, **limits}))
    store = None if path is None else SQLiteStore(path)
    async with TestNode(app, store=store, clock=clock, settings=settings) as node:
        worlds.append(World(node, tasks))
        worlds[0].proceed.set()
        yield worlds[0]


async def test_a_repeat_gets_the_result_of_the_first_run() -> None:
    async with running() as world:
        client, other = await world.node.connect(bolide=True), await world.node.connect(bolide=True)
        assert await world.call(client, "add", "a") == "A"
        assert await world.call(client, "add", "a") == "A"
        assert await world.call(other, "add", "a") == "A"
        assert await world.call(other, "add", "a", call="2") == "A"
        assert world.runs == ["a", "a"]
        assert await world.titles() == ["a", "a"]


async def test_any_value_and_none_survive() -> None:
    async with running() as world:
        client = await world.node.connect(bolide=True)
        for _ in range(2):
            assert await world.call(client, "both") == datetime(2026, 1, 1, tzinfo=UTC)
            assert await world.call(client, "nothing", call="2") is None
        assert world.runs == ["both"]
        assert await world.titles() == ["one", "two"]


@pytest.mark.parametrize(
    ("method", "error"),
    [("refuse", ("full", "No bed is free.", {"beds": 0})), ("fail", (500, None, None))],
)
async def test_a_repeat_gets_the_error_of_the_first_run(
    method: str, error: tuple[object, str | None, object]
) -> None:
    async with running() as world:
        client = await world.node.connect(bolide=True)
        for _ in range(2):
            with pytest.raises(MethodError) as caught:
                await world.call(client, method)
            assert caught.value.error == error[0]
            assert caught.value.details == error[2]
        assert world.runs == [method]


async def test_a_call_that_wrote_nothing_runs_again() -> None:
    async with running() as world:
        client = await world.node.connect(bolide=True)
        assert await world.call(client, "look") == 0
        await world.call(client, "add", "a", call="2")
        assert await world.call(client, "look") == 1


async def test_a_repeat_waits_for_the_first_run() -> None:
    async with running() as world:
        world.proceed.clear()
        client, other = await world.node.connect(bolide=True), await world.node.connect(bolide=True)
        await other.subscribe("tasks")
        first = asyncio.create_task(world.call(client, "add", "a"))
        await world.node.settle()
        client.socket.disconnect()
        repeat = asyncio.create_task(world.call(other, "add", "a"))
        await world.node.settle()
        assert not repeat.done()
        world.proceed.set()
        assert await repeat == "A"
        assert [d["title"] for d in other.documents("tasks")] == ["a"]
        assert world.runs == ["a"]
        first.cancel()


async def test_a_repeat_of_a_run_that_writes_nothing_runs_after_it() -> None:
    async with running() as world:
        world.proceed.clear()
        client, other = await world.node.connect(bolide=True), await world.node.connect(bolide=True)
        first = asyncio.create_task(world.call(client, "stubborn", ""))
        await world.node.settle()
        repeat = asyncio.create_task(world.call(other, "stubborn", ""))
        await world.node.settle()
        world.proceed.set()
        assert (await first, await repeat) == ("written", "written")
        assert world.runs == [""]


async def test_another_call_with_the_same_id_is_refused() -> None:
    async with running() as world:
        client, other = await world.node.connect(bolide=True), await world.node.connect(bolide=True)
        await world.call(client, "add", "a")
        world.proceed.clear()
        running_call = asyncio.create_task(world.call(client, "add", "c", call="2"))
        await world.node.settle()
        for name, args, call in (("add", ("b",), "1"), ("look", (), "1"), ("add", ("d",), "2")):
            with pytest.raises(MethodError, match="call-id-conflict"):
                await world.call(other, name, *args, call=call)
        world.proceed.set()
        await running_call
        assert await world.titles() == ["a", "c"]


async def test_a_repeat_by_another_user_is_told_to_look_and_not_to_use_a_new_id() -> None:
    async with running() as world:
        ann, nobody = await world.node.connect(bolide=True), await world.node.connect(bolide=True)
        await ann.call("log_in", "ann")
        await world.call(ann, "add", "a")
        world.proceed.clear()
        running_call = asyncio.create_task(world.call(ann, "add", "b", call="2"))
        await world.node.settle()
        for title, call in (("a", "1"), ("b", "2")):
            with pytest.raises(MethodError, match="log in as who made it") as caught:
                await world.call(nobody, "add", title, call=call)
            assert caught.value.error == "call-of-another-user"
            assert "new one" not in str(caught.value)
            with pytest.raises(MethodError, match="call-id-conflict"):
                await world.call(nobody, "add", "other", call=call)
        world.proceed.set()
        await running_call
        await nobody.call("log_in", "ann")
        assert await world.call(nobody, "add", "a") == "A"
        await nobody.call("log_in", None)
        with pytest.raises(MethodError, match="call-of-another-user"):
            await world.call(nobody, "add", "b", call="2")
        assert await world.titles() == ["a", "b"]


async def test_a_result_that_is_too_large_is_not_kept() -> None:
    async with running() as world:
        client = await world.node.connect(bolide=True)
        assert await world.call(client, "large") == "x" * 2_000
        with pytest.raises(MethodError, match="call-result-not-kept"):
            await world.call(client, "large")
        assert await world.titles() == ["large"]


async def test_a_result_larger_than_one_may_be_is_an_error_for_the_call_and_its_repeats() -> None:
    async with running(max_result_bytes=1_000, max_stored_result_bytes=2_000) as world:
        client = await world.node.connect(bolide=True)
        repeats: list[str] = []
        for call in ("1", "1", "2"):
            with pytest.raises(MethodError, match="max_result_bytes") as caught:
                await world.call(client, "long", 1_500, call=call)
            assert caught.value.error == "result-too-large"
            assert "may take 1000" in str(caught.value)
            repeats.append(str(caught.value))
        assert repeats[0] == repeats[1]
        assert world.runs == ["long", "long"]


async def test_a_client_without_extensions_runs_as_often_as_it_calls() -> None:
    async with running() as world:
        client = await world.node.connect()
        for _ in range(2):
            client.send(Method("1", "look", call=CallId(CLIENT, "1")))
            await world.node.settle()
        assert world.runs == ["look", "look"]
        assert await world.node.store.count(Query(collection=CALLS)) == 0


async def test_a_call_that_is_still_running_elsewhere_is_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    async with running(path) as first, running(path) as second:
        first.proceed.clear()
        client = await first.node.connect(bolide=True)
        other = await second.node.connect(bolide=True)
        call = asyncio.create_task(first.call(client, "add", "a"))
        await other.subscribe("tasks")
        await other.wait_for(lambda: bool(other.documents("tasks")))
        repeat = asyncio.create_task(second.call(other, "add", "a"))
        await second.node.settle()
        first.proceed.set()
        assert (await call, await repeat) == ("A", "A")
        assert (first.runs, second.runs) == (["a"], [])


async def test_of_two_nodes_that_run_a_call_at_once_one_writes(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    async with running(path) as first, running(path) as second:
        calls: list[asyncio.Task[Any]] = []
        for world in (first, second):
            world.proceed.clear()
            client = await world.node.connect(bolide=True)
            calls.append(asyncio.create_task(world.call(client, "stubborn", "a")))
            while not world.runs:  # it looks into the file before it runs
                await yield_once()
        first.proceed.set()
        assert await calls[0] == "written"
        second.proceed.set()
        assert await calls[1] == "written"
        assert await first.titles() == ["a"]
        assert (first.runs, second.runs) == (["a"], ["a"])


async def test_a_call_whose_node_died_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "b.db"
    async with running(path) as world:
        client = await world.node.connect(bolide=True)
        await world.call(client, "add", "a")
        claim = (await world.node.store.read(Query(collection=CALLS))).documents[0]
    dead = {name: claim[name] for name in ("_id", "run", "user", "digest", "claimedAt")}
    async with running() as world:
        await world.node.store.write(Insert(collection=CALLS, documents=[dead]))
        client = await world.node.connect(bolide=True)
        call = asyncio.create_task(world.call(client, "add", "a"))
        await world.node.settle()
        assert not call.done()
        await world.node.clock.advance(10)
        with pytest.raises(MethodError, match="write-outcome-unknown"):
            await call
        assert world.runs == []


async def test_old_calls_and_too_many_are_forgotten() -> None:
    clock = FakeClock()
    async with running(clock=clock, max_stored_calls=2) as world:
        client = await world.node.connect(bolide=True)
        client.answers_pings = True
        for call in ("1", "2", "3"):
            await world.call(client, "add", call, call=call)
            await clock.advance(1)
        store = world.node.store
        assert await store.count(Query(collection=CALLS)) == 3
        await clock.advance(3_600)
        assert await store.count(Query(collection=CALLS)) == 2
        for _ in range(24):
            await clock.advance(3_600)
        assert await store.count(Query(collection=CALLS)) == 0


class WrongClock(FakeClock):
    """A clock whose time of day may be wrong."""

    wrong_by_s = 0.0

    def wall_ms(self) -> int:
        return super().wall_ms() + round(self.wrong_by_s * 1000)


async def test_a_clock_that_jumps_makes_no_call_forgotten() -> None:
    clock = WrongClock()
    async with running(clock=clock) as world:
        client = await world.node.connect(bolide=True)
        client.answers_pings = True
        await world.call(client, "add", "a")
        clock.wrong_by_s = 10 * 86_400
        for _ in range(11):
            await clock.advance(3_600)
        assert await world.call(client, "add", "a") == "A"
        assert world.runs == ["a"]
        for _ in range(3):
            await clock.advance(3_600)
        assert await world.node.store.count(Query(collection=CALLS)) == 0


async def test_a_node_that_starts_with_a_wrong_clock_forgets_no_call(tmp_path: Path) -> None:
    path = tmp_path / "calls.db"
    async with running(path) as world:
        await world.call(await world.node.connect(bolide=True), "add", "a")
    clock = WrongClock()
    clock.wrong_by_s = 10 * 86_400
    async with running(path, clock) as world:
        await clock.advance(3_600)
        assert await world.call(await world.node.connect(bolide=True), "add", "a") == "A"
        assert world.runs == []


async def test_of_too_many_large_results_the_oldest_are_dropped() -> None:
    async with running(max_stored_result_bytes=5_000, max_stored_results_bytes=10_000) as world:
        client = await world.node.connect(bolide=True)
        await world.call(client, "add", "small", call="small")
        for call in "123456":
            await world.call(client, "long", 3_000, call=call)
            await world.node.clock.advance(1)
            stored = await world.node.store.read(Query(collection=CALLS))
            assert sum(len(one.get("result", "")) for one in stored.documents) < 10_020
        for call in "123":
            with pytest.raises(MethodError, match="call-result-not-kept"):
                await world.call(client, "long", 3_000, call=call)
        for call in "456":
            assert await world.call(client, "long", 3_000, call=call) == "x" * 3_000
        assert await world.call(client, "add", "small", call="small") == "SMALL"
        assert world.runs == ["small"] + 6 * ["long"]


async def test_many_calls_are_cleaned_up_before_the_hour_is_over() -> None:
    async with running(max_stored_calls=10) as world:
        client = await world.node.connect(bolide=True)
        for number in range(250):
            await world.call(client, "add", "a", call=str(number))
            await world.node.clock.advance(0.001)
            assert await world.node.store.count(Query(collection=CALLS)) <= 10 + 100


async def test_a_clean_up_that_fails_harms_no_call() -> None:
    async with running(max_stored_result_bytes=5_000, max_stored_results_bytes=10_000) as world:
        client = await world.node.connect(bolide=True)

        async def fail() -> None:
            raise OSError

        calls = world.node.node.services.calls
        forget_old, calls.forget_old = calls.forget_old, fail  # type: ignore[method-assign]
        with structlog.testing.capture_logs() as logs:
            assert await world.call(client, "long", 3_000) == "x" * 3_000
        assert [one["task"] for one in logs if one["log_level"] == "error"] == ["forget old calls"]
        calls.forget_old = forget_old  # type: ignore[method-assign]
