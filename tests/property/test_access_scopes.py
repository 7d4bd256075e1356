"""Whoever gains or loses a ward while others write: nobody sees, or touches, what is not theirs.

Handlers ask for a ward and then try everything in all of them. After each pause every client is
compared with what trusted code finds in the wards it may read; on the way no message may carry a
document of a ward that its publication had not opened.
"""

import asyncio
import itertools
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bolide.core.ddp.codec import parse_server_message
from bolide.core.ddp.messages import Added, Changed
from bolide.core.errors import AuthError, MethodError
from bolide.core.values import Document
from bolide.server import AccessRequest, App, Context
from bolide.server.stores.base import Insert, Query, Store, Update
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.sqlite import SQLiteStore
from bolide.server.testing import TestClient, TestNode, TestSubscription

Step: TypeAlias = tuple[Any, ...]

WARDS = ["w1", "w2", "w3"]
USERS = ["ann", "bob"]
PERMISSIONS = ["read", "write"]
IDS = st.sampled_from(["a", "b", "c", "d", "e"])
WARD = st.sampled_from(WARDS)
USER = st.sampled_from(USERS)
# A patient's ward may be of any kind that somebody's import left there.
ODD_PLACES: list[Any] = [["w1"], None, 1, {"0": "w1"}]
PLACES = st.one_of(WARD, WARD, st.sampled_from(ODD_PLACES))
PUBLICATIONS = ["ward", "mine", "window", "by hand"]
WRITES = [
    "insert_one",
    "insert_many",
    "update_one",
    "update_many",
    "upsert",
    "replace_one",
    "replace_upsert",
    "delete_one",
    "delete_many",
    "find_one_and_update",
    "find_one_and_replace",
    "find_one_and_delete",
    "rename",
    "transaction",
]
READS = ["find_one", "find", "count", "distinct", "read in transaction"]

STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), USER, st.sampled_from(WRITES), WARD, IDS, PLACES),
        st.tuples(st.just("call"), USER, st.sampled_from(WRITES), WARD, IDS, PLACES),
        st.tuples(st.just("call"), USER, st.sampled_from(READS), WARD, IDS, PLACES),
        st.tuples(st.just("move"), IDS, PLACES),
        st.tuples(st.just("toggle"), USER, st.sampled_from(PERMISSIONS), WARD),
        st.tuples(st.just("subscribe"), USER, st.sampled_from(PUBLICATIONS), WARD),
        st.tuples(st.just("stop"), USER, st.integers(0, 5)),
        st.tuples(st.just("login"), USER),
        st.tuples(st.just("settle")),
        st.tuples(st.just("turn"), st.integers(1, 4)),
    ),
    min_size=4,
    max_size=25,
)


class Hospital:
    """An app whose grants change, and what its publications opened.

    Attributes:
        grants: Who may do what where.
        opened: Session -> run of a publication -> the wards that it opened.
    """

    def __init__(self) -> None:
        self.app = App()
        self.app.authorize = self.authorize
        self.grants = {("ann", "read", "w1"), ("bob", "read", "w2"), ("ann", "write", "w1")}
        self.opened: dict[str, dict[int, set[str]]] = {}
        self.numbers = itertools.count()
        self.patients = self.app.collection("patients", access="ward")
        self.app.publish("ward")(self.publish_ward)
        self.app.publish("mine")(self.publish_mine)
        self.app.publish("window")(self.publish_window)
        self.app.publish("by hand")(self.publish_by_hand)
        self.app.publish(None)(self.publish_to_all)
        self.app.method("write")(self.write)
        self.app.method("read")(self.read)
        self.app.method("again", public=True)(self.log_in_again)

    def authorize(self, request: AccessRequest, /) -> bool:
        assert request.access_scope is not None
        return (request.user_id, request.permission, request.access_scope) in self.grants

    def toggle(self, user: str, permission: str, ward: str) -> None:
        self.grants ^= {(user, permission, ward)}
        self.app.access_changed(user)

    def may(self, user: str, permission: str) -> set[str]:
        return {ward for who, what, ward in self.grants if (who, what) == (user, permission)}

    def open(self, ctx: Context, *wards: str) -> set[str]:
        """Open the wards that one may read; at least one."""
        runs = self.opened.setdefault(_session(ctx), {})
        mine: set[str] = set()
        number = next(self.numbers)
        for ward in wards:
            try:
                ctx.require("read", ward)
            except AuthError:
                continue
            mine.add(ward)
            runs[number] = mine
        if not mine:
            raise AuthError
        ctx.on_stop(lambda: runs.pop(number))
        return mine

    async def publish_ward(self, ctx: Context, ward: str) -> object:
        self.open(ctx, ward)
        return self.patients.find({})

    async def publish_mine(self, ctx: Context, ward: str) -> object:
        cursor = self.patients.find({"n": {"$gte": 0}})
        self.open(ctx, *WARDS)
        await asyncio.sleep(0)
        return cursor

    async def publish_window(self, ctx: Context, ward: str) -> object:
        self.open(ctx, ward)
        return self.patients.find({}, sort=[("ward", 1)], limit=2)

    async def publish_by_hand(self, ctx: Context, ward: str) -> None:
        self.open(ctx, ward)
        async for patient in self.patients.find({"_id": {"$in": ["a", "b"]}}):
            ctx.added("copies", f"{ward}/{patient['_id']}", {"ward": patient["ward"]})
        ctx.ready()

    async def publish_to_all(self, ctx: Context) -> object:
        self.open(ctx, "w3")
        return self.patients.find({"n": 1})

    async def write(self, ctx: Context, kind: str, ward: str, id: str, to: object) -> None:
        ctx.require("write", ward)
        one, put = {"_id": id}, {"$set": {"ward": to, "n": 1}}
        patients = self.patients
        match kind:
            case "insert_one":
                await patients.insert_one({"_id": id, "ward": to, "n": 0})
            case "insert_many":
                await patients.insert_many([{"ward": ward, "n": 0}, {"_id": id, "ward": to}])
            case "update_one":
                await patients.update_one(one, put)
            case "update_many":
                await patients.update_many({}, {"$inc": {"n": 1}})
                await patients.update_many({"ward": to}, put)
            case "upsert":
                await patients.update_one({**one, "ward": to}, {"$inc": {"n": 1}}, upsert=True)
            case "replace_one":
                await patients.replace_one(one, {"ward": to, "n": 2})
            case "replace_upsert":
                await patients.replace_one(one, {"ward": to, "n": 2}, upsert=True)
            case "delete_one":
                await patients.delete_one(one)
            case "delete_many":
                await patients.delete_many({"ward": to})
            case "find_one_and_update":
                await patients.find_one_and_update(one, put, upsert=True)
            case "find_one_and_replace":
                await patients.find_one_and_replace({"ward": to}, {"ward": to}, upsert=True)
            case "find_one_and_delete":
                await patients.find_one_and_delete({"ward": to})
            case "rename":
                await patients.update_many({}, {"$rename": {"ward": "was", "other": "ward"}})
            case "transaction":
                async with self.app.transaction():
                    await patients.update_one(one, {"$set": {"n": 3}})
                    await patients.delete_many({"ward": to, "n": 0})
                    await patients.update_one({"ward": ward}, put)
            case _:
                raise AssertionError(kind)

    async def read(self, ctx: Context, kind: str, ward: str, id: str, to: object) -> list[Any]:
        ctx.require("read", ward)
        match kind:
            case "find_one":
                one = await self.patients.find_one(id)
                return [] if one is None else [one.get("ward")]
            case "find":
                found = await self.patients.find({"$or": [{"ward": to}, {}]}).to_list()
                return [patient.get("ward") for patient in found]
            case "count":
                count = await self.patients.count_documents({})
                found = await self.patients.find().to_list()
                return [] if count == len(found) else ["a count of others"]
            case "distinct":
                return await self.patients.distinct("ward", {"ward": {"$exists": True}})
            case _:
                async with self.app.transaction():
                    found = await self.patients.find({"ward": to}).to_list()
                return [patient.get("ward") for patient in found]

    async def log_in_again(self, ctx: Context, user: str) -> None:
        await ctx.set_user_id(user)


def _session(ctx: Context) -> str:
    assert ctx.session is not None
    return ctx.session.id


class Ward:
    """A run of the test: a node, one client for each user, and what is checked on the way."""

    def __init__(self, hospital: Hospital, node: TestNode) -> None:
        self.hospital, self.node = hospital, node
        self.clients: dict[str, TestClient] = {}
        self.subscriptions: dict[str, list[tuple[str, str, TestSubscription]]] = {}
        self.leaks: list[Any] = []

    async def connect(self) -> None:
        for user in USERS:
            client = await self.node.connect(user_id=user)
            self.clients[user] = client
            self.subscriptions[user] = []
            client.socket.on_frames = self.check_of(client)
            # What came before is the universal publication's.
            self.check_of(client)(client.socket.frames)

    def check_of(self, client: TestClient) -> Callable[[Sequence[str]], object]:
        session = client.socket.driver.info.id

        def check(frames: Sequence[str]) -> None:
            runs = self.hospital.opened.get(session, {})
            opened = set[str]().union(*runs.values())
            for frame in frames:
                match parse_server_message(frame):
                    case Added(fields=fields) | Changed(fields=fields) if "ward" in fields:
                        if fields["ward"] not in opened:
                            self.leaks.append((fields["ward"], opened))
                    case _:
                        pass

        return check

    async def take(self, kind: str, *args: Any) -> None:
        match kind, *args:
            case "call", user, method, ward, id, place:
                await self.call(user, method, ward, id, place)
            case "move", id, place:
                changed = {"$set": {"ward": place}}
                update = Update(
                    collection="patients", selector={"_id": id}, modifier=changed, upsert=True
                )
                await self.node.store.write(update)
            case "toggle", user, permission, ward:
                self.hospital.toggle(user, permission, ward)
            case "subscribe", user, name, ward:
                subscription = self.clients[user].start_subscription(name, ward)
                self.subscriptions[user].append((name, ward, subscription))
            case "stop", user, number:
                if number < len(self.subscriptions[user]):
                    *_, subscription = self.subscriptions[user].pop(number)
                    if not subscription.is_stopped:
                        await subscription.stop()
            case "login", user:
                await self.clients[user].call("again", user)
            case ("settle",):
                await self.agree()
            case _:
                for _ in range(args[0]):
                    await asyncio.sleep(0)

    async def call(self, user: str, method: str, ward: str, id: str, place: Any) -> None:
        name = "read" if method in READS else "write"
        before = await self.everything()
        opened = {ward} & self.hospital.may(user, name)
        refusal = None
        try:
            answer = await self.clients[user].call(name, method, ward, id, place)
        except MethodError as error:
            answer, refusal = None, error.error
        # 500 is a key that is taken; anything else would be a mistake of this test.
        assert refusal in (None, 403, 500)
        assert not answer or set(answer) <= opened
        after = await self.everything()
        if name == "read":
            assert after == before
        assert outside(after, opened) == outside(before, opened)

    async def everything(self) -> dict[str, Document]:
        found = await self.node.store.read(Query(collection="patients"))
        return {document["_id"]: document for document in found.documents}

    async def find(self, selector: Document, wards: set[str], **window: Any) -> list[Document]:
        """Read as trusted code does, and choose by hand."""
        query = Query(collection="patients", selector=selector, sort=window.get("sort", ()))
        found = [
            document
            for document in (await self.node.store.read(query)).documents
            if isinstance(document.get("ward"), str) and document["ward"] in wards
        ]
        return found[: window.get("limit")]

    async def agree(self) -> None:
        """Compare what is shown with what each person may see."""
        await self.node.settle()
        for client in self.clients.values():
            await client.published()
        await self.node.settle()
        assert self.leaks == []
        for user, client in self.clients.items():
            mine = self.hospital.may(user, "read")
            expected = await self.find({"n": 1}, mine & {"w3"})
            for name, ward, subscription in self.subscriptions[user]:
                client.documents("patients")
                if subscription.is_stopped:
                    # The refusal was right when it was made, and a client has to ask again.
                    assert subscription.error is not None
                    assert subscription.error.error == 403
                    continue
                assert subscription.is_ready
                match name:
                    case "ward":
                        assert ward in mine
                        expected += await self.find({}, {ward})
                    case "mine":
                        assert mine
                        expected += await self.find({"n": {"$gte": 0}}, mine)
                    case "window":
                        assert ward in mine
                        order = (("ward", 1), ("_id", 1))
                        expected += await self.find({}, {ward}, sort=order, limit=2)
                    case _:
                        assert ward in mine
            shown = {document["_id"]: document for document in client.documents("patients")}
            assert shown == {document["_id"]: document for document in expected}
            copies = {copy["ward"] for copy in client.documents("copies")}
            assert copies <= mine


def outside(documents: dict[str, Document], opened: set[str]) -> list[Document]:
    return [
        document
        for document in documents.values()
        if not isinstance(document.get("ward"), str) or document["ward"] not in opened
    ]


async def begin(hospital: Hospital, node: TestNode) -> Ward:
    documents: list[Document] = [
        {"_id": "a", "ward": "w1", "n": 0},
        {"_id": "b", "ward": "w2", "n": 1},
        {"_id": "c", "ward": "w3", "n": 1},
        {"_id": "d", "ward": ["w1", "w2"], "n": 1},
    ]
    await node.store.write(Insert(collection="patients", documents=documents))
    ward = Ward(hospital, node)
    await ward.connect()
    return ward


async def run(steps: list[Step], store: Store) -> None:
    hospital = Hospital()
    async with TestNode(hospital.app, store=store) as node:
        ward = await begin(hospital, node)
        for step in steps:
            await ward.take(*step)
        await ward.agree()


@settings(max_examples=100, deadline=None, derandomize=True)
@given(STEPS)
def test_nobody_sees_or_touches_another_ward_in_memory(steps: list[Step]) -> None:
    asyncio.run(run(steps, MemoryStore()))


@settings(max_examples=20, deadline=None, derandomize=True)
@given(STEPS)
def test_nobody_sees_or_touches_another_ward_on_sqlite(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(run(steps, SQLiteStore(Path(folder) / "wards.db")))


@pytest.mark.parametrize("method", [*WRITES, *READS])
async def test_whatever_a_method_tries_stays_in_its_ward(method: str) -> None:
    hospital = Hospital()
    for id in ["a", "b", "c", "d", "e"]:
        for place in [*WARDS, *ODD_PLACES]:
            async with TestNode(hospital.app) as node:
                ward = await begin(hospital, node)
                await ward.take("subscribe", "ann", "ward", "w1")
                await ward.take("call", "ann", method, "w1", id, place)
                await ward.agree()
