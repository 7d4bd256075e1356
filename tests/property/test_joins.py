"""Whatever is written, subscribed and stopped in any order: a join shows what nested finds return.

The client of the test kit asserts on each message that a document is added only if it is not there
and changed or removed only if it is.
"""

import asyncio
from collections.abc import Mapping
from functools import partial
from typing import Any, TypeAlias

from hypothesis import example, given, settings
from hypothesis import strategies as st

from bolide.core.ddp.messages import Added, Changed, Ready, Removed
from bolide.core.values import Document
from bolide.server import App, Context
from bolide.server.collections.cursor import Cursor
from bolide.server.limits import Limits
from bolide.server.testing import TestClient, TestNode, TestSubscription

Step: TypeAlias = tuple[Any, ...]

WARDS = st.sampled_from(["w1", "w2", "w3"])
PATIENTS = st.sampled_from(["p1", "p2", "p3", "p4", "p5", "p6"])
VITALS = st.sampled_from(["v1", "v2", "v3", "v4", "v5"])
NUMBERS = st.integers(0, 3)
WRITES = st.one_of(
    st.tuples(st.just("ward"), WARDS, NUMBERS),
    st.tuples(st.just("close"), WARDS),
    st.tuples(st.just("admit"), PATIENTS, WARDS, NUMBERS),
    st.tuples(st.just("move"), PATIENTS, WARDS),
    st.tuples(st.just("rank"), PATIENTS, NUMBERS),
    st.tuples(st.just("tag"), PATIENTS, VITALS),
    st.tuples(st.just("discharge"), PATIENTS),
    st.tuples(st.just("measure"), VITALS, PATIENTS, NUMBERS),
    st.tuples(st.just("reassign"), VITALS, PATIENTS),
    st.tuples(st.just("erase"), VITALS),
    st.tuples(st.just("together"), PATIENTS, WARDS, VITALS),
    st.tuples(st.just("again"), PATIENTS, WARDS),
)
PUBLICATIONS = ("board", "tags", "latest", "family", "captured")
STEPS = st.lists(
    st.one_of(
        WRITES,
        WRITES,
        WRITES,
        st.tuples(st.just("subscribe"), st.sampled_from(PUBLICATIONS)),
        st.tuples(st.just("stop"), st.sampled_from(PUBLICATIONS)),
        st.tuples(st.just("settle")),
        st.tuples(st.just("turn"), st.integers(1, 9)),
    ),
    min_size=1,
    max_size=40,
)


class Ward:
    """An app with joins over three levels, and the same joins written as nested finds."""

    def __init__(self) -> None:
        self.app = App()
        self.wards = self.app.collection("wards")
        self.patients = self.app.collection("patients")
        self.vitals = self.app.collection("vitals")
        self._publish()
        self._write()

    def board(self) -> Cursor:
        return self.wards.find({"open": True}, children=[self.patients_of])

    def patients_of(self, ward: Mapping[str, Any]) -> Cursor:
        return self.patients.find({"ward": ward["_id"]}, children=[self.vitals_of])

    def vitals_of(self, patient: Mapping[str, Any]) -> Cursor:
        return self.vitals.find({"patient": patient["_id"], "n": {"$lt": 3}})

    def tags(self) -> Cursor:
        return self.patients.find(
            {"rank": {"$gt": 0}},
            {"tags": 1, "rank": 1},
            children=[lambda p: self.vitals.find({"_id": {"$in": p.get("tags", [])}})],
        )

    def latest(self) -> Cursor:
        def newest(patient: Mapping[str, Any]) -> Cursor | None:
            if not patient["rank"]:
                return None
            return self.vitals.find({"patient": patient["_id"]}, sort=[("n", -1)], limit=1)

        return self.patients.find({}, sort=[("rank", 1)], limit=3, children=[newest])

    def family(self) -> Cursor:
        # Into the parent's own collection: the other patients of the ward.
        return self.patients.find(
            {"rank": 3}, children=[lambda p: self.patients.find({"ward": p["ward"]})]
        )

    def captured(self) -> Cursor:
        return self.wards.find(
            {},
            children=[
                lambda ward: self.patients.find(
                    {"ward": ward["_id"]},
                    children=[
                        lambda p: self.vitals.find({"patient": p["_id"], "n": ward.get("level")})
                    ],
                )
            ],
        )

    def _publish(self) -> None:
        for name in PUBLICATIONS:
            make = getattr(self, name)

            def register(name: str = name, make: Any = make) -> None:
                @self.app.publish(name, public=True)
                async def publish(ctx: Context) -> object:
                    return [make(), self.app.live_count(name, make())]

            register()

    def _write(self) -> None:
        @self.app.method("write", public=True)
        async def write(ctx: Context, kind: str, *args: str | int) -> None:
            await self.write(kind, *args)

    async def write(self, kind: str, *args: Any) -> None:
        wards, patients, vitals = self.wards, self.patients, self.vitals
        match kind, *args:
            case "ward", id, level:
                await wards.replace_one({"_id": id}, {"open": True, "level": level}, upsert=True)
            case "close", id:
                await wards.update_one({"_id": id}, {"$set": {"open": False}})
            case "admit", id, ward, rank:
                document: dict[str, Any] = {"ward": ward, "rank": rank, "tags": []}
                await patients.replace_one({"_id": id}, document, upsert=True)
            case "move", id, ward:
                await patients.update_one({"_id": id}, {"$set": {"ward": ward}})
            case "rank", id, rank:
                await patients.update_one({"_id": id}, {"$set": {"rank": rank}})
            case "tag", id, vital:
                await patients.update_one({"_id": id}, {"$push": {"tags": vital}})
            case "discharge", id:
                await patients.delete_one({"_id": id})
            case "measure", id, patient, n:
                await vitals.replace_one({"_id": id}, {"patient": patient, "n": n}, upsert=True)
            case "reassign", id, patient:
                await vitals.update_one({"_id": id}, {"$set": {"patient": patient}})
            case "erase", id:
                await vitals.delete_one({"_id": id})
            case "together", id, ward, vital:
                async with self.app.transaction():
                    await patients.delete_one({"_id": id})
                    await patients.insert_one({"_id": id, "ward": ward, "rank": 1, "tags": [vital]})
                    await vitals.update_one({"_id": vital}, {"$set": {"patient": id}})
            case "again", id, ward:
                await patients.delete_one({"_id": id})
                await patients.insert_one({"_id": id, "ward": ward, "rank": 2})
            case _:
                raise AssertionError(kind)

    async def shown(self, name: str) -> dict[tuple[str, Any], Document]:
        """Return what a publication should show, by nested finds."""
        cursor: Cursor = getattr(self, name)()
        found: dict[tuple[str, Any], Document] = {}
        await self._gather(cursor, found)
        found["counts", name] = {"_id": name, "count": await cursor.count()}
        return found

    async def _gather(self, cursor: Cursor, found: dict[tuple[str, Any], Document]) -> None:
        for document in await cursor.to_list():
            place = (cursor.query.collection, document["_id"])
            found[place] = {**found.get(place, {}), **document}
            for child in cursor.children:
                below = child(document)
                if below is not None:
                    await self._gather(below, found)


class Run:
    """One sequence of steps, on one node."""

    def __init__(self, ward: Ward, node: TestNode, reader: TestClient, writer: TestClient) -> None:
        self.ward = ward
        self.node = node
        self.reader = reader
        self.writer = writer
        self.subscriptions: dict[str, TestSubscription] = {}
        self.writes: list[asyncio.Task[Any]] = []

    async def step(self, kind: str, *args: Any) -> None:
        match kind:
            case "subscribe":
                if args[0] not in self.subscriptions:
                    self.subscriptions[args[0]] = self.reader.start_subscription(args[0])
            case "stop":
                if args[0] in self.subscriptions:
                    await self.subscriptions.pop(args[0]).stop()
            case "settle":
                await self.agree()
            case "turn":
                for _ in range(args[0]):
                    await asyncio.sleep(0)
            case _:
                self.writes.append(asyncio.create_task(self.writer.call("write", kind, *args)))

    async def agree(self) -> None:
        """Compare what is shown with nested finds."""
        await asyncio.gather(*self.writes)
        for subscription in self.subscriptions.values():
            await self.reader.wait_for(partial(getattr, subscription, "is_ready"))
            assert subscription.error is None
        await self.node.settle()
        expected: dict[tuple[str, Any], Document] = {}
        for name in self.subscriptions:
            for place, document in (await self.ward.shown(name)).items():
                expected[place] = {**expected.get(place, {}), **document}
        assert self.shown() == expected

    def shown(self) -> dict[tuple[str, Any], Document]:
        return {
            (collection, document["_id"]): document
            for collection in ("wards", "patients", "vitals", "counts")
            for document in self.reader.documents(collection)
        }

    async def end(self) -> None:
        """Stop everything; nothing may be left, in the client or in the node."""
        await self.agree()
        for subscription in self.subscriptions.values():
            await subscription.stop()
        await self.node.settle()
        assert self.shown() == {}
        live_queries = self.node.node.services.live_queries
        assert len(live_queries) == 0
        assert len(live_queries.dependents) == 0


async def run(steps: list[Step]) -> None:
    ward = Ward()
    async with TestNode(ward.app, limits=Limits(max_join_values=2)) as node:
        going = Run(ward, node, await node.connect(), await node.connect())
        for kind, *args in steps:
            await going.step(kind, *args)
        await going.end()


@settings(max_examples=150, deadline=None, derandomize=True)
@given(STEPS)
@example([("ward", "w1", 1), ("subscribe", "board"), ("measure", "v1", "p1", 0), ("settle",)])
@example([("admit", "p1", "w1", 3), ("subscribe", "family"), ("settle",), ("rank", "p1", 0)])
def test_a_join_shows_what_nested_finds_return(steps: list[Step]) -> None:
    asyncio.run(run(steps))


async def fence(steps: list[Step]) -> None:
    """Write one after the other, and look right after each ``updated``."""
    ward = Ward()
    async with TestNode(ward.app, limits=Limits(max_join_values=2)) as node:
        reader, writer = await node.connect(), await node.connect()
        await reader.subscribe("board")
        await reader.subscribe("captured")
        going = Run(ward, node, reader, writer)
        for kind, *args in steps:
            await writer.call("write", kind, *args)
            expected = {**await ward.shown("board"), **await ward.shown("captured")}
            assert going.shown() == expected


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(WRITES, min_size=1, max_size=20))
@example([("admit", "p1", "w1", 1), ("measure", "v1", "p1", 1), ("ward", "w1", 1)])
def test_updated_comes_after_all_levels_of_every_join(writes: list[Step]) -> None:
    asyncio.run(fence(writes))


async def first_load(steps: list[Step], publication: str) -> None:
    ward = Ward()
    async with TestNode(ward.app, limits=Limits(max_join_values=2)) as node:
        for kind, *args in steps:
            await ward.write(kind, *args)
        reader = await node.connect()
        await reader.subscribe(publication)
        kinds = [type(message) for message in reader.messages[1:]]
        assert kinds[-1] is Ready
        assert not {Changed, Removed} & set(kinds)
        assert kinds.count(Added) == len(await ward.shown(publication))


@settings(max_examples=100, deadline=None, derandomize=True)
@given(st.lists(WRITES, max_size=30), st.sampled_from(("board", "latest", "family", "captured")))
def test_ready_comes_after_all_levels_and_each_document_once(
    writes: list[Step], publication: str
) -> None:
    asyncio.run(first_load(writes, publication))
