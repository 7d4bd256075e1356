"""A database that other programs filled: what can be shown is right, the rest harms nothing."""

import asyncio
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import bson
from bson import Binary, Code, DBRef, Decimal128, Int64, MaxKey, MinKey, ObjectId, Timestamp
from bson import Regex as BSONRegex
from bson.raw_bson import RawBSONDocument
from pymongo import MongoClient
from structlog.testing import capture_logs
from tests.integration.conftest import Peer, Serve, serve
from tests.mongo_roles import administrator_url

from bolide.client import Client, connect
from bolide.core.ejson import add_type
from bolide.core.keys import key_of
from bolide.core.values import DatetimeMS, Document, EJSONValue, Encrypted, Regex
from bolide.server import App, Context, Settings

__all__ = ["serve"]

TIMEOUT_S = 20
NAN = float("nan")
OID = ObjectId("0123456789abcdef01234567")


@dataclass(frozen=True)
class Dose:
    """An EJSON type of an app, as Meteor's ``EJSON.addType``."""

    amount: float
    unit: str

    def type_name(self) -> str:
        return "foreign-test-dose"

    def to_json_value(self) -> EJSONValue:
        return [self.amount, self.unit]


add_type("foreign-test-dose", lambda value: Dose(*value))

SHOWN: list[tuple[str, Any, Any, Any]] = [
    # field, as a program writes it, as the SDK shows it, as DDP carries it without our extensions
    ("int64", Int64(2**62), 2**62, 2**62),
    ("decimal", Decimal128("1.10"), Decimal128("1.10"), {"$type": "Decimal", "$value": "1.10"}),
    ("decimalNaN", Decimal128("NaN"), Decimal128("NaN"), {"$type": "Decimal", "$value": "NaN"}),
    ("nan", NAN, NAN, {"$InfNaN": 0}),
    ("infinity", -float("inf"), -float("inf"), {"$InfNaN": -1}),
    ("date", datetime(2024, 2, 29, tzinfo=UTC), datetime(2024, 2, 29, tzinfo=UTC),
     {"$date": 1709164800000}),
    ("far", DatetimeMS(253402300800001), DatetimeMS(253402300800001), {"$date": 253402300800001}),
    ("ancient", DatetimeMS(-(10**14)), DatetimeMS(-(10**14)), {"$date": -(10**14)}),
    ("reference", DBRef("wards", OID, "other"), {"$ref": "wards", "$id": OID, "$db": "other"},
     {"$ref": "wards", "$id": {"$type": "oid", "$value": str(OID)}, "$db": "other"}),
    ("uuid", Binary(UUID(int=1).bytes, 4), UUID(int=1).bytes,
     {"$binary": "AAAAAAAAAAAAAAAAAAAAAQ=="}),
    ("bytes", b"ab", b"ab", {"$binary": "YWI="}),
    ("cipher", Binary(b"\x02" * 20, 6), Encrypted(b"\x02" * 20),
     {"$binary": "AgICAgICAgICAgICAgICAgICAgI="}),
    ("regex", BSONRegex("^(?<n>a)", "im"), Regex("^(?<n>a)", "im"),
     {"$regexp": "^(?<n>a)", "$flags": "im"}),
    ("looksLikeADate", {"$date": 1}, {"$date": 1}, {"$escape": {"$date": 1}}),
    ("names", {"a.b": 1, "$c": {"": 2}}, {"a.b": 1, "$c": {"": 2}}, {"a.b": 1, "$c": {"": 2}}),
    ("dose", {"EJSON$type": "foreign-test-dose", "EJSON$value": [2.5, "mg"]}, Dose(2.5, "mg"),
     {"$type": "foreign-test-dose", "$value": [2.5, "mg"]}),
    ("unknown", {"EJSON$type": "nobody's", "EJSON$value": 1},
     {"EJSON$type": "nobody's", "EJSON$value": 1}, {"EJSON$type": "nobody's", "EJSON$value": 1}),
]  # fmt: skip
FOREIGN: dict[str, tuple[Any, str, str]] = {
    # what is written, where in it, its type
    "timestamp": ({"at": Timestamp(1, 2)}, "v.at", "Timestamp"),
    "minKey": ([1, MinKey()], "v.?", "MinKey"),
    "maxKey": (MaxKey(), "v", "MaxKey"),
    "date": ({"born": DatetimeMS(2**62)}, "v.born", "date"),
    "code": (Code("secret()"), "v", "Code"),
    "scoped": ([{"f": Code("secret()", {"x": 1})}], "v.?.f", "Code"),
}


def make_app(url: str) -> App:
    app = App(Settings(store=url))
    things = app.collection("things")

    @app.publish("all", public=True)
    async def publish_all(ctx: Context) -> object:
        return things.find({})

    @app.publish("high", public=True)
    async def publish_high(ctx: Context) -> object:
        return things.find({"v": {"$gt": 1}})

    @app.publish("equal", public=True)
    async def publish_equal(ctx: Context) -> object:
        return things.find({"v": 7})

    @app.publish("first", public=True)
    async def publish_first(ctx: Context) -> object:
        return things.find({}, sort=[("v", 1)], limit=3)

    @app.publish("names", public=True)
    async def publish_names(ctx: Context) -> object:
        return things.find({}, {"name": 1})

    return app


@contextmanager
def program(url: str) -> Generator[Any]:
    """Another program's collection in the same database."""
    with MongoClient[Document](administrator_url(url)) as client:
        yield client.get_default_database()["things"]


async def sees(client: Client, holds: Callable[[dict[Any, Document]], bool]) -> None:
    """Wait until what a client shows is right."""
    found: dict[Any, Document] = {}
    try:
        async with asyncio.timeout(TIMEOUT_S):
            async for documents in client.collection("things").find({}).results():
                found = {key_of(document["_id"]): document for document in documents}
                if holds(found):
                    return
    except TimeoutError:
        raise AssertionError(found) from None


async def added(peer: Peer) -> dict[str, Any]:
    """Read until the subscription is ready; returns fields by id."""
    found: dict[str, Any] = {}
    while (message := await peer.read())["msg"] != "ready":
        if message["msg"] == "added":
            found[message["id"]] = message.get("fields", {})
    return found


async def test_what_a_meteor_app_or_any_other_program_wrote_is_shown(
    new_database: Callable[[], str], serve: Serve
) -> None:
    url = new_database()
    written = {name: value for name, value, _, _ in SHOWN}
    ids = ["8nSCsDNhAB9RpY4bh", OID, 7, Int64(2**40), {"a": 1}, b"id", NAN, "-x", "a.b", True]
    with program(url) as things:
        things.insert_many({"_id": id, **written} for id in ids)
        # undefined and symbol, of drivers long ago, are written by nobody today.
        old = bson.encode({"_id": "old", "gone": None, "symbol": "s"})
        old = old.replace(b"\x0agone", b"\x06gone").replace(b"\x02symbol", b"\x0esymbol")
        things.insert_one(RawBSONDocument(old))
        address = await serve(make_app(url).asgi)
        async with connect(f"ws://{address}/websocket") as client:
            await client.subscribe("all")
            shown = {name: value for name, _, value, _ in SHOWN}

            def is_right(found: dict[Any, Document]) -> bool:
                first = found.get("8nSCsDNhAB9RpY4bh")
                return first is not None and repr(first) == repr({"_id": first["_id"], **shown})

            await sees(client, lambda found: is_right(found) and len(found) > len(ids))
            documents = client.collection("things").find({}).fetch()
            for document in documents:
                if document["_id"] != "old":
                    expected = {"_id": document["_id"], **shown}
                    assert repr(document) == repr(expected)
            assert {"_id": "old", "gone": None, "symbol": "s"} in documents
            assert sorted(repr(d["_id"]) for d in documents) == sorted(map(repr, [*ids, "old"]))
            things.update_one({"_id": OID}, {"$set": {"far": DatetimeMS(2**52), "new": NAN}})
            await sees(client, lambda found: found[OID].get("far") == DatetimeMS(2**52))
        peer = await serve.peer(address)
        await peer.connect()
        await peer.send(msg="sub", id="s", name="all", params=[])
        messages = await added(peer)
        plain = {name: value for name, _, _, value in SHOWN}
        assert messages["8nSCsDNhAB9RpY4bh"] == plain
        assert messages[str(OID)] == {**plain, "far": {"$date": 2**52}, "new": {"$InfNaN": 0}}
        assert messages["--x"] == messages["~7"] == messages['~{"a":1}'] == plain


async def test_what_cannot_be_shown_is_named_and_leaves_the_rest_alone(
    new_database: Callable[[], str], serve: Serve
) -> None:
    url = new_database()
    with program(url) as things, capture_logs() as logs:
        things.insert_many({"_id": id, "v": v, "name": id} for id, (v, _, _) in FOREIGN.items())
        things.insert_many({"_id": f"good{n}", "v": n, "name": "n"} for n in range(3))
        things.insert_one({"_id": Timestamp(5, 5), "v": 1})
        app = make_app(url)
        address = await serve(app.asgi)
        async with connect(f"ws://{address}/websocket") as client:
            await client.subscribe("all")
            await sees(client, lambda found: found.keys() == {"good0", "good1", "good2"})
            node = app.asgi.node
            assert node is not None
            assert _hidden(node) == len(FOREIGN) + 1
            # Live changes go on, and what becomes showable is shown.
            things.insert_one({"_id": "good3", "v": 3})
            things.update_one({"_id": "timestamp"}, {"$set": {"v.at": "mended"}})
            things.delete_one({"_id": "minKey"})
            await sees(client, lambda found: found.get("timestamp", {}).get("v") == {"at": "mended"}
                       and "good3" in found)  # fmt: skip
            # What becomes foreign goes, and comes back.
            things.update_one({"_id": "good1"}, {"$set": {"later": Timestamp(7, 7)}})
            await sees(client, lambda found: "good1" not in found)
            things.replace_one({"_id": "good1"}, {"v": "back"})
            await sees(client, lambda found: found.get("good1") == {"_id": "good1", "v": "back"})
            assert _hidden(node) == len(FOREIGN) + 2
        # Without the field it can be shown.
        async with connect(f"ws://{address}/websocket") as client:
            await client.subscribe("names")
            await sees(client, lambda found: found.get("code") == {"_id": "code", "name": "code"})
    told = {(log["document"], log["field"], log["type"]) for log in logs if "field" in log}
    expected = {(id, path, kind) for id, (_, path, kind) in FOREIGN.items()}
    assert told >= expected | {("a Timestamp", "_id", "Timestamp"), ("good1", "later", "Timestamp")}
    assert "secret" not in repr([log for log in logs if "field" in log])


def _hidden(node: Any) -> float:
    text: str = node.metrics.exposition().decode()
    name = "bolide_documents_hidden_total"
    [line] = [line for line in text.splitlines() if line.startswith(name)]
    return float(line.rpartition(" ")[2])


async def test_documents_that_break_the_types_of_a_query_break_no_query(
    new_database: Callable[[], str], serve: Serve
) -> None:
    """Every value beside every other in one order, and none of them above a number but numbers."""
    url = new_database()
    values = [v for _, v, _, _ in SHOWN] + [v for v, _, _ in FOREIGN.values()]
    with program(url) as things:
        address = await serve(make_app(url).asgi)
        async with connect(f"ws://{address}/websocket") as client:
            for name in ("high", "first", "equal"):
                await client.subscribe(name)
            for number, value in enumerate(values):
                things.insert_one({"_id": f"v{number:02}", "v": value})
            things.insert_one({"_id": "last", "v": 10**6})
            await sees(client, lambda found: "last" in found)
            # A document that cannot be sent keeps its place in a window.
            found = {d["_id"] for d in things.find({}).sort([("v", 1), ("_id", 1)]).limit(3)}
            found |= {d["_id"] for d in things.find({"v": {"$gt": 1}})}
            shown = {f"v{n:02}" for n in range(len(SHOWN))} | {"last"}
            await sees(client, lambda seen: seen.keys() == found & shown)
