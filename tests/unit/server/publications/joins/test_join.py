"""Joins end to end on the memory store: what clients see, what is read, what is left behind."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Coroutine, Hashable, Mapping, Sequence
from typing import Any, TypeAlias

import pytest
import pytest_asyncio
from tests.unit.server.held_store import HeldStore

from bolide.core.ddp.messages import Added, Changed, Ready, Removed, Updated
from bolide.core.errors import MethodError
from bolide.core.minimongo.paths import is_document
from bolide.server import App, Context, PublicationStrategy
from bolide.server.access.invocation import current
from bolide.server.collections.cursor import ChildFunction, Cursor
from bolide.server.limits import Limits
from bolide.server.livequery.followers import Follower
from bolide.server.livequery.live_queries import Following, LiveQueries
from bolide.server.publications.joins.join import Join
from bolide.server.sessions.view.view_change import ViewChange
from bolide.server.settings import Settings
from bolide.server.stores.base import Query
from bolide.server.testing import TestClient, TestNode
from bolide.server.turn import Turn

View: TypeAlias = Mapping[str, Any]

ALL = Query(collection="patients")


class World:
    """An app whose joins a test chooses, on a store that can hold its answers back."""

    def __init__(self) -> None:
        self.app = App()
        self.store = HeldStore()
        self.patients = self.app.collection("patients")
        self.vitals = self.app.collection("vitals")
        self.notes = self.app.collection("notes")
        self.children: list[ChildFunction] = [self.vitals_of]
        self.selector: dict[str, Any] = {}
        self.projection: dict[str, Any] | None = None
        self.asked: list[Any] = []
        self.contexts: list[Context] = []

        @self.app.publish("patients", public=True)
        async def publish(ctx: Context) -> object:
            self.contexts.append(ctx)
            return self.patients.find(self.selector, self.projection, children=self.children)

        @self.app.method("patient", public=True)
        async def patient(ctx: Context, id: str, ward: str) -> None:
            fields = {"$set": {"ward": ward}}
            await self.patients.update_one({"_id": id}, fields, upsert=True)

        @self.app.method("vital", public=True)
        async def vital(ctx: Context, id: str, patient: str) -> None:
            fields = {"$set": {"patient": patient}}
            await self.vitals.update_one({"_id": id}, fields, upsert=True)

        @self.app.method("note", public=True)
        async def note(ctx: Context, id: str) -> None:
            await self.notes.insert_one({"_id": id})

        @self.app.method("discharge", public=True)
        async def discharge(ctx: Context, id: str) -> None:
            await self.patients.delete_one({"_id": id})

        @self.app.method("login", public=True)
        async def login(ctx: Context, user_id: str) -> None:
            await ctx.set_user_id(user_id)

    def vitals_of(self, parent: View) -> Cursor:
        self.asked.append(parent["_id"])
        return self.vitals.find({"patient": parent["_id"]})

    def node(self, **limits: int) -> TestNode:
        return TestNode(self.app, store=self.store, limits=Limits(**limits))

    async def admit(self, *ids: str, ward: str = "w") -> None:
        await self.patients.insert_many([{"_id": id, "ward": ward} for id in ids])

    async def measure(self, **patients: str) -> None:
        """Insert vitals: id and the patient's."""
        documents = [{"_id": id, "patient": patient} for id, patient in patients.items()]
        await self.vitals.insert_many(documents)

    def read_vitals(self) -> list[Any]:
        """Return which patients were asked for since the last call."""
        asked = [q.selector["patient"] for q in self.store.reads if q.collection == "vitals"]
        self.store.reads.clear()
        return [sorted(one["$in"]) if is_document(one) else one for one in asked]


@pytest.fixture
def world() -> World:
    return World()


def ids(client: TestClient, collection: str = "vitals") -> set[Any]:
    return {document["_id"] for document in client.documents(collection)}


def data(client: TestClient, since: int = 0) -> list[Added | Changed | Removed]:
    messages = client.messages[since:]
    return [m for m in messages if isinstance(m, Added | Changed | Removed)]


def is_clean(node: TestNode) -> bool:
    live_queries = node.node.services.live_queries
    return len(live_queries) == 0 and len(live_queries.dependents) == 0


async def test_children_come_with_their_parents_before_ready(world: World) -> None:
    async with world.node() as node:
        await world.admit("p1", "p2")
        await world.measure(v1="p1", v2="p2", v3="p9")
        client = await node.connect()
        subscription = await client.subscribe("patients")
        assert ids(client) == {"v1", "v2"}
        assert isinstance(client.messages[-1], Ready)
        assert world.read_vitals() == [["p1", "p2"]]
        await subscription.stop()
        assert (ids(client), ids(client, "patients")) == (set(), set())
        assert is_clean(node)


async def test_a_child_comes_and_goes_with_its_parent(world: World) -> None:
    async with world.node() as node:
        client = await node.connect()
        await client.subscribe("patients")
        await world.measure(v1="p1", v2="p2")
        for id in ("p1", "p2"):
            await client.call("patient", id, "w")
        assert ids(client) == {"v1", "v2"}
        await client.call("discharge", "p1")
        assert (ids(client), ids(client, "patients")) == ({"v2"}, {"p2"})
        assert len(node.node.services.live_queries) == 2


async def test_a_child_that_changes_its_parent_is_one_change(world: World) -> None:
    async with world.node() as node:
        await world.admit("p1", "p2")
        await world.measure(v1="p1")
        client = await node.connect()
        await client.subscribe("patients")
        before = len(client.messages)
        await client.call("vital", "v1", "p2")
        assert data(client, before) == [Changed("vitals", "v1", {"patient": "p2"})]


async def test_what_two_parents_have_in_common_leaves_with_the_second(world: World) -> None:
    world.children = [lambda p: world.vitals.find({"ward": p["ward"]})]
    async with world.node() as node:
        await world.admit("p1", "p2")
        await world.vitals.insert_one({"_id": "v1", "ward": "w"})
        client = await node.connect()
        await client.subscribe("patients")
        before = len(client.messages)
        await client.call("discharge", "p1")
        assert data(client, before) == [Removed("patients", "p1")]
        await client.call("discharge", "p2")
        assert ids(client) == set()


async def test_a_function_runs_again_only_if_what_it_read_changed(world: World) -> None:
    def by_ward(parent: View) -> Cursor:
        world.asked.append(parent["_id"])
        return world.vitals.find({"ward": parent["ward"]})

    world.children = [by_ward]
    async with world.node() as node:
        await world.admit("p1", "p2", ward="a")
        await world.vitals.insert_many([{"_id": "v1", "ward": "a"}, {"_id": "v2", "ward": "b"}])
        client = await node.connect()
        await client.subscribe("patients")
        assert world.asked == ["p1", "p2"]
        await world.patients.update_one({"_id": "p1"}, {"$set": {"bed": 1}})
        await node.settle()
        assert world.asked == ["p1", "p2"]
        await client.call("patient", "p1", "b")
        assert world.asked == ["p1", "p2", "p1"]
        assert ids(client) == {"v1", "v2"}
        await client.call("patient", "p2", "b")
        assert ids(client) == {"v2"}


async def test_a_field_that_came_back_within_a_turn_is_no_change(world: World) -> None:
    world.children = [lambda p: world.asked.append(p["ward"])]
    async with world.node() as node:
        await world.admit("p1")
        client = await node.connect()
        await client.subscribe("patients")
        async with world.app.transaction():
            await world.patients.update_one({"_id": "p1"}, {"$set": {"ward": "x"}})
            await world.patients.update_one({"_id": "p1"}, {"$set": {"ward": "w"}})
        await node.settle()
        assert world.asked == ["w"]


async def test_a_function_may_want_nothing(world: World) -> None:
    world.children = [lambda p: None if p["ward"] == "none" else world.vitals_of(p)]
    async with world.node() as node:
        await world.measure(v1="p1")
        client = await node.connect()
        await client.subscribe("patients")
        await client.call("patient", "p1", "none")
        assert ids(client) == set()
        await client.call("patient", "p1", "w")
        assert ids(client) == {"v1"}
        await client.call("patient", "p1", "none")
        assert ids(client) == set()


async def test_a_burst_of_parents_is_one_query(world: World) -> None:
    async with world.node() as node:
        await world.admit("p0")
        client = await node.connect()
        await client.subscribe("patients")
        world.read_vitals()
        async with world.app.transaction():
            for number in range(1, 6):
                await world.admit(f"p{number}")
        await node.settle()
        assert world.read_vitals() == [[f"p{number}" for number in range(6)]]


async def test_one_more_parent_among_a_thousand_reads_one_chunk(world: World) -> None:
    async with world.node() as node:
        names = [f"p{number:04}" for number in range(1000)]
        await world.admit(*names)
        await world.vitals.insert_many([{"_id": name, "patient": name} for name in names])
        client = await node.connect()
        await client.subscribe("patients")
        chunks = world.read_vitals()
        assert sorted(name for chunk in chunks for name in chunk) == names
        assert 20 <= len(chunks) <= 80
        for number in range(20):
            before = len(client.messages)
            await world.measure(**{f"new{number}": f"new{number}"})
            await client.call("patient", f"new{number}", "w")
            read = world.read_vitals()
            assert sum(len(chunk) for chunk in read) <= 51
            assert [m.id for m in data(client, before)] == [f"new{number}", f"new{number}"]


async def test_two_clients_with_different_histories_share_their_queries(world: World) -> None:
    async with world.node(max_join_values=3) as node:
        one, two = await node.connect(), await node.connect()
        await one.subscribe("patients")
        for number in range(12):
            await one.call("patient", f"p{number}", "w")
        for number in range(0, 12, 3):
            await one.call("discharge", f"p{number}")
        count = len(node.node.services.live_queries)
        await two.subscribe("patients")
        assert len(node.node.services.live_queries) == count


async def test_windows_are_queries_of_their_own(world: World) -> None:
    world.children = [
        lambda p: world.vitals.find({"patient": p["_id"]}, sort=[("_id", -1)], limit=1)
    ]
    async with world.node() as node:
        await world.admit("p1", "p2")
        await world.measure(v1="p1", v2="p1", v3="p2")
        client = await node.connect()
        await client.subscribe("patients")
        assert ids(client) == {"v2", "v3"}
        await world.vitals.delete_one({"_id": "v2"})
        await node.settle()
        assert ids(client) == {"v1", "v3"}
        await client.call("discharge", "p1")
        assert ids(client) == {"v3"}


async def test_an_inner_function_may_read_the_outer_parent(world: World) -> None:
    def outer(parent: View) -> Cursor:
        world.asked.append(parent["_id"])
        return world.vitals.find(
            {"patient": parent["_id"]},
            children=[lambda v: world.notes.find({"vital": v["_id"], "ward": parent["ward"]})],
        )

    world.children = [outer]
    async with world.node() as node:
        await world.admit("p1", "p2")
        await world.measure(v1="p1", v2="p2")
        await world.notes.insert_many(
            [{"_id": f"{v}{w}", "vital": v, "ward": w} for v in ("v1", "v2") for w in ("w", "x")]
        )
        client = await node.connect()
        await client.subscribe("patients")
        assert ids(client, "notes") == {"v1w", "v2w"}
        before = len(client.messages)
        await client.call("patient", "p1", "x")
        assert world.asked == ["p1", "p2", "p1"]
        assert ids(client, "notes") == {"v1x", "v2w"}
        assert {m.collection for m in data(client, before)} == {"patients", "notes"}


async def test_an_inner_function_reads_what_the_outer_parent_is_now(world: World) -> None:
    world.children = [
        lambda p: world.vitals.find(
            {"patient": p["_id"]}, children=[lambda v: world.asked.append(p["ward"])]
        )
    ]
    async with world.node() as node:
        await world.admit("p1")
        client = await node.connect()
        await client.subscribe("patients")
        await client.call("patient", "p1", "x")
        await client.call("vital", "v1", "p1")
        assert world.asked == ["x"]


async def test_a_child_may_be_in_its_parents_collection(world: World) -> None:
    world.selector = {"_id": "p1"}
    world.children = [lambda p: world.patients.find({"ward": p["ward"]})]
    async with world.node() as node:
        await world.admit("p1", "p2")
        client = await node.connect()
        subscription = await client.subscribe("patients")
        assert ids(client, "patients") == {"p1", "p2"}
        await client.call("patient", "p2", "x")
        assert ids(client, "patients") == {"p1"}
        await subscription.stop()
        assert ids(client, "patients") == set()


def nested(world: World, levels: int) -> ChildFunction:
    def child(parent: View) -> Cursor:
        below = [nested(world, levels - 1)] if levels > 1 else []
        return world.notes.find({"parent": parent["_id"]}, children=below)

    return child


async def chain(world: World, length: int) -> None:
    """Insert a patient, and notes of which each is the child of the one before."""
    await world.admit("n0")
    for number in range(length):
        await world.notes.insert_one({"_id": f"n{number + 1}", "parent": f"n{number}"})


async def test_four_levels_are_published_and_five_are_refused(world: World) -> None:
    world.children = [nested(world, 4)]
    async with world.node() as node:
        await chain(world, 6)
        client = await node.connect()
        subscription = await client.subscribe("patients")
        assert ids(client, "notes") == {"n1", "n2", "n3", "n4"}
        await client.call("discharge", "n0")
        assert ids(client, "notes") == set()
        await client.call("patient", "n1", "w")
        assert ids(client, "notes") == {"n2", "n3", "n4", "n5"}
        await subscription.stop()
        world.children = [nested(world, 5)]
        await refused(client, node)


async def test_a_cycle_of_functions_ends_at_the_limit(world: World) -> None:
    def child(parent: View) -> Cursor:
        return world.notes.find({"parent": parent["_id"]}, children=[child])

    world.children = [child]
    async with world.node() as node:
        await chain(world, 2)
        client = await node.connect()
        await client.subscribe("patients")
        assert ids(client, "notes") == {"n1", "n2"}
        await world.notes.insert_one({"_id": "n3", "parent": "n2"})
        await node.settle()
        assert (ids(client, "notes"), is_clean(node)) == (set(), True)


async def refused(client: TestClient, node: TestNode, error: str | int = 500) -> None:
    """Subscribe, and find that it ends with an error and leaves nothing."""
    with pytest.raises(MethodError) as caught:
        await client.subscribe("patients")
    assert caught.value.error == error
    assert client.documents("patients") == []
    await node.settle()
    assert is_clean(node)


def failing(parent: View) -> Cursor:
    raise RuntimeError(parent["_id"])


def not_allowed(parent: View) -> Cursor:
    raise MethodError("mine", "My words.")


async def asynchronous(parent: View) -> None: ...


class Later:
    def __await__(self) -> Any: ...


def dishonest(outcome: Callable[[View], object]) -> ChildFunction:
    """Hide from mypy that a function returns what no child function may."""
    child: Any = outcome
    return child  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("child", "error", "code"),
    [
        (failing, 500, "child-failed"),
        (not_allowed, "mine", None),
        (dishonest(lambda p: asynchronous(p)), 500, "wrong-child"),
        (dishonest(lambda p: Later()), 500, "wrong-child"),
        (dishonest(lambda p: [p["_id"]]), 500, "wrong-child"),
        (dishonest(lambda p: p["name"]), 500, "field-not-shown"),
    ],
)
async def test_a_child_function_that_fails_ends_its_subscription(
    world: World,
    child: ChildFunction,
    error: str | int,
    code: str | None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    world.children = [child]
    world.projection = {"name": 0}
    async with world.node() as node:
        await world.admit("patient-one")
        client = await node.connect()
        await refused(client, node, error)
    log = capsys.readouterr().out
    assert (code or "refused") in log
    assert "patient-one" not in log


async def test_a_failure_later_ends_the_subscription_too(world: World) -> None:
    world.children = [lambda p: failing(p) if p["ward"] == "bad" else None]
    async with world.node() as node:
        client = await node.connect()
        subscription = await client.subscribe("patients")
        await client.call("patient", "p1", "bad")
        await client.wait_for(lambda: subscription.is_stopped)
        assert subscription.error is not None
        assert is_clean(node)


async def test_a_selector_that_does_not_compile_is_an_error(world: World) -> None:
    world.children = [lambda p: world.vitals.find({"$no": p["_id"]})]
    async with world.node() as node:
        await world.admit("p1")
        client = await node.connect()
        await refused(client, node)
        world.projection = {"ward": 1, "name": 0}
        await refused(client, node)


async def test_a_child_query_that_fails_later_ends_the_subscription(world: World) -> None:
    world.children = [lambda p: world.vitals.find({"patient": p["_id"]}, limit=5)]
    async with world.node() as node:
        await world.admit("p1")
        client = await node.connect()
        subscription = await client.subscribe("patients")
        world.store.error = RuntimeError("gone")
        await client.call("vital", "v1", "p1")
        await client.wait_for(lambda: subscription.is_stopped)
        assert subscription.error is not None
        assert is_clean(node)


async def test_too_many_queries_are_refused(world: World) -> None:
    world.children = [lambda p: world.vitals.find({"patient": p["_id"]}, limit=1)]
    async with world.node(max_join_queries=3) as node:
        await world.admit("p1", "p2")
        client = await node.connect()
        subscription = await client.subscribe("patients")
        # One goes and one comes: there are never more at the end of a round.
        async with world.app.transaction():
            await world.patients.delete_one({"_id": "p1"})
            await world.admit("p3")
        await node.settle()
        assert not subscription.is_stopped
        await subscription.stop()
        await world.admit("p4")
        await refused(client, node)


@pytest.mark.parametrize(
    ("strategy", "works"),
    [
        (PublicationStrategy.NO_MERGE_MULTI, True),
        (PublicationStrategy.NO_MERGE, False),
        (PublicationStrategy.NO_MERGE_NO_HISTORY, False),
    ],
)
async def test_children_need_a_strategy_that_counts_documents(
    world: World, strategy: PublicationStrategy, works: bool
) -> None:
    beds = world.app.collection("beds", strategy=strategy)
    world.children = [lambda p: beds.find({"patient": p["_id"]})]
    async with world.node() as node:
        await world.admit("p1")
        await beds.insert_many([{"_id": f"b{n}", "patient": f"p{n}"} for n in (1, 2)])
        client = await node.connect()
        if not works:
            await refused(client, node)
            return
        await client.subscribe("patients")
        await client.call("patient", "p2", "w")
        assert ids(client, "beds") == {"b1", "b2"}
        await client.call("discharge", "p1")
        assert ids(client, "beds") == {"b2"}


async def test_children_run_in_the_invocation_of_the_publication(world: World) -> None:
    world.children = [lambda p: world.asked.append(current())]
    async with world.node() as node:
        await world.admit("p1")
        client = await node.connect()
        await client.subscribe("patients")
        await client.call("patient", "p2", "w")
        first, second = world.asked
        assert first is second
        assert first is not None
        assert first.name == "patients"


async def test_a_cursor_with_children_stands_beside_others(world: World) -> None:
    app = world.app

    @app.publish("list", public=True)
    async def publish(ctx: Context) -> object:
        with_children = world.patients.find({"ward": "w"}, children=[world.vitals_of])
        return [with_children, world.vitals.find({"patient": "p9"}), world.notes.find({})]

    @app.publish("twice", public=True)
    async def twice(ctx: Context) -> object:
        return [world.patients.find(children=[world.vitals_of]), world.patients.find()]

    async with world.node() as node:
        await world.admit("p1")
        await world.measure(v1="p1", v2="p9")
        client = await node.connect()
        subscription = await client.subscribe("list")
        assert ids(client) == {"v1", "v2"}
        with pytest.raises(MethodError):
            await client.subscribe("twice")
        await subscription.stop()
        assert is_clean(node)


# Stops and changes while queries are on their way


@pytest.mark.parametrize("collection", ["patients", "vitals"])
@pytest.mark.parametrize("way", ["unsub", "stop", "error", "leave", "timeout"])
async def test_an_end_while_a_level_loads_leaves_nothing(
    world: World, collection: str, way: str
) -> None:
    async with world.node() as node:
        await world.admit("p1")
        client, other = await node.connect(), await node.connect()
        world.store.hold(collection)
        subscription = client.start_subscription("patients")
        await world.store.held()
        match way:
            case "unsub":
                world.contexts[-1].unblock()
                await subscription.stop()
            case "stop":
                world.contexts[-1].stop()
            case "error":
                world.contexts[-1].error(RuntimeError())
            case "leave":
                await client.close()
            case _:
                await node.clock.advance(Settings().publication_timeout_s)
        await node.clock.advance(0)
        assert is_clean(node)
        world.store.release()
        await node.settle()
        assert is_clean(node)
        await other.subscribe("patients")
        assert ids(other, "patients") == {"p1"}


async def test_an_end_in_the_turn_of_an_answer_leaves_nothing(world: World) -> None:
    async with world.node() as node:
        await world.admit("p1")
        client = await node.connect()
        for turns in range(12):
            world.store.hold("vitals")
            subscription = client.start_subscription("patients")
            await world.store.held()
            world.store.release()
            for _ in range(turns):
                await asyncio.sleep(0)
            world.contexts[-1].stop()
            await client.wait_for(lambda at=subscription: at.is_stopped)  # type: ignore[misc]
            await node.settle()
            assert is_clean(node)


async def test_a_child_function_may_stop_its_subscription(world: World) -> None:
    world.children = [lambda p: world.contexts[-1].stop(), world.vitals_of]
    async with world.node() as node:
        await world.admit(*[f"p{number}" for number in range(300)])
        client = await node.connect()
        subscription = client.start_subscription("patients")
        await client.wait_for(lambda: subscription.is_stopped)
        assert subscription.error is None
        await node.settle()
        assert (ids(client, "patients"), is_clean(node)) == (set(), True)


async def test_a_publish_function_may_stop_before_it_returns(world: World) -> None:
    @world.app.publish("stops", public=True)
    async def publish(ctx: Context) -> object:
        ctx.stop()
        counted = world.app.live_count("count", world.patients.find())
        return [world.patients.find(children=[world.vitals_of]), counted]

    async with world.node() as node:
        await world.admit("p1")
        client = await node.connect()
        subscription = client.start_subscription("stops")
        await client.wait_for(lambda: subscription.is_stopped)
        await node.settle()
        assert (data(client), is_clean(node)) == ([], True)


async def test_parents_that_change_while_their_children_load_end_right(world: World) -> None:
    async with world.node() as node:
        await world.admit("p1", "p2")
        await world.measure(v1="p1", v2="p2", v3="p3")
        client = await node.connect()
        world.store.hold("vitals")
        client.start_subscription("patients")
        await world.store.held()
        await world.patients.delete_one({"_id": "p1"})
        await world.admit("p3")
        await world.vitals.update_one({"_id": "v2"}, {"$set": {"patient": "p1"}})
        world.store.release()
        await client.received(Ready)
        await node.settle()
        assert (ids(client), ids(client, "patients")) == ({"v3"}, {"p2", "p3"})


async def test_another_user_sees_the_difference_only(world: World) -> None:
    app = world.app

    @app.publish("mine", public=True)
    async def publish(ctx: Context) -> object:
        selector = {"_id": {"$in": ["p1", "p2"] if ctx.user_id else ["p1"]}}
        return world.patients.find(selector, children=[world.vitals_of])

    async with world.node() as node:
        await world.admit("p1", "p2")
        await world.measure(v1="p1", v2="p2")
        client = await node.connect()
        await client.subscribe("mine")
        before = len(client.messages)
        await client.call("login", "somebody")
        assert {m.id for m in data(client, before)} == {"p2", "v2"}
        assert ids(client) == {"v1", "v2"}


# The fence


async def test_updated_waits_for_the_children(world: World) -> None:
    async with world.node() as node:
        reader, writer = await node.connect(), await node.connect()
        await world.measure(v1="p1")
        await reader.subscribe("patients")
        world.store.hold("vitals")
        call = asyncio.create_task(writer.call("patient", "p1", "w"))
        await world.store.held()
        await node.clock.advance(1)
        assert not any(isinstance(message, Updated) for message in writer.messages)
        assert not call.done()
        world.store.release()
        await call
        assert ids(reader) == {"v1"}


async def test_a_first_parent_is_waited_for_from_the_turn_in_which_it_is_told(world: World) -> None:
    async with world.node() as node:
        client = await node.connect()
        await client.subscribe("patients")
        dependents = node.node.services.live_queries.dependents
        assert len(dependents) == 0
        await world.admit("p1")
        written = (await world.store.read(ALL)).position
        await world.store.feed_reached(written)
        assert len(dependents) == 1
        world.store.hold("vitals")
        fence = asyncio.create_task(dependents.settled({"patients"}))
        await world.store.held()
        assert not fence.done()
        world.store.release()
        await fence


async def test_updated_does_not_wait_for_joins_that_it_cannot_concern(world: World) -> None:
    async with world.node() as node:
        reader, writer = await node.connect(), await node.connect()
        await reader.subscribe("patients")
        world.store.hold("vitals")
        waiting = asyncio.create_task(writer.call("patient", "p1", "w"))
        await world.store.held()
        third = await node.connect()
        await third.call("note", "n1")
        assert not waiting.done()
        world.store.release()
        await waiting


async def test_updated_does_not_wait_for_what_ended(world: World) -> None:
    async with world.node() as node:
        reader, writer = await node.connect(), await node.connect()
        await reader.subscribe("patients")
        world.store.hold("vitals")
        call = asyncio.create_task(writer.call("patient", "p1", "w"))
        await world.store.held()
        await reader.close()
        await call


async def test_updated_comes_although_others_change_parents_all_the_time(world: World) -> None:
    async with world.node() as node:
        reader, writer = await node.connect(), await node.connect()
        await reader.subscribe("patients")
        dependents = node.node.services.live_queries.dependents
        was_idle: list[bool] = []

        async def keep_busy() -> None:
            for number in range(500):
                await world.admit(f"other{number}")
                await asyncio.sleep(0)
                was_idle.append(not dependents)

        busy = asyncio.create_task(keep_busy())
        await world.measure(v1="p1")
        await writer.call("patient", "p1", "w")
        assert ids(reader) == {"v1"}
        assert not busy.done()
        assert not any(was_idle)
        await busy


# Without a subscription


class Host:
    """The host of one join, on live queries without sessions."""

    def __init__(self, world: World, live_queries: LiveQueries) -> None:
        self.join = Join(self, None, Limits(), world.app.strategy_of)
        self.live_queries = live_queries
        self.published: list[ViewChange] = []
        self.ended: list[Hashable] = []
        self.stops_at_first = False

    async def follow(self, query: Query, follower: Follower) -> Following:
        return await self.live_queries.follow(query, follower)

    def source_changed(self, source: Hashable, changes: Sequence[ViewChange]) -> None:
        self.published += changes
        if self.stops_at_first:
            self.join.stop()

    def source_ended(self, source: Hashable) -> None:
        self.ended.append(source)

    def join_failed(self, error: BaseException) -> None:
        raise AssertionError(error)

    def work_begun(self, join: Join) -> None:
        self.live_queries.dependents.begin(join)

    def work_done(self, join: Join) -> None:
        self.live_queries.dependents.done(join)

    def spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        return asyncio.create_task(work)


@pytest_asyncio.fixture
async def host(world: World) -> AsyncGenerator[Host]:
    await world.store.open()
    world.app.attach(world.store)
    live_queries = LiveQueries(world.store, Turn())
    yield Host(world, live_queries)
    live_queries.close()
    world.app.detach()
    await world.store.close()


async def test_fences_know_its_collections_before_it_has_a_document(
    world: World, host: Host
) -> None:
    starting = asyncio.create_task(host.join.start([world.patients.find(children=world.children)]))
    await asyncio.sleep(0)
    assert host.join.depends_on({"notes", "patients"})
    assert not host.join.depends_on({"vitals"})
    await starting
    host.join.stop()
    host.join.stop()
    assert len(host.live_queries) == 0


async def test_a_host_may_stop_it_while_it_is_told(world: World, host: Host) -> None:
    await world.admit("p1", "p2")
    host.stops_at_first = True
    await host.join.start([world.patients.find(children=world.children)])
    assert [change.message.id for change in host.published] == ["p1", "p2"]
    assert (world.asked, host.ended) == ([], [])
    assert len(host.live_queries) == 0


async def test_what_a_child_query_lost_is_taken_back_after_it_was_replaced(
    world: World, host: Host
) -> None:
    await world.admit("p1")
    await world.measure(v1="p1")
    await host.join.start([world.patients.find(children=world.children)])
    await world.admit("p2")
    await host.live_queries.settle({"patients": (await world.store.read(ALL)).position})
    (first,) = host.ended
    assert [change.message.id for change in host.published] == ["p1", "v1", "p2", "v1"]
    host.join.stop()
    assert host.ended == [first]
