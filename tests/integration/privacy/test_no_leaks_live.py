"""What a person typed is in nothing that an operator of the node looks at, while it is in use.

Marked values stand in selectors, orders, windows, access scopes, joins, counts, resyncs, call ids
and stubs, and stay there: the subscriptions are open while ``/top``, ``bolide top``, the metrics
and the log are read.
"""

import asyncio
import io
import sys
from collections.abc import Mapping
from typing import Any

import httpx
import msgspec
import pytest
import pytest_asyncio
from tests.integration.conftest import Peer, Serve
from tests.integration.privacy.conftest import MARK

from bolide.client import Simulation, connect
from bolide.core.errors import MethodError
from bolide.core.values import Document
from bolide.ops.top.rates import compare
from bolide.ops.top.view import plain_lines
from bolide.server import App, Context, Cursor, EJSONValue, Selector, Settings
from bolide.server.limits import Limits
from bolide.server.stores.base import Query
from bolide.server.telemetry.overview import Overview
from bolide.server.web.management import create_management

NUMBER = 18151210
SECRET = "Countess-of-Lovelace-16-chars-or-more"
"""A client's part of its call ids."""
CALL = f"call-{MARK}"
DIGEST = "AAAAAAAAAAAAAAAAAAAAAA"
SLOW_PATTERN = f"^(a|aa)+${MARK}?"
"""It takes longer than one text may, for 60 letters and another one."""


def make_app() -> App:
    app = App(Settings(store="memory:", limits=Limits(live_query_excess_ms=50)))
    app.authorize = lambda request: True
    people = app.collection("people")
    beds = app.collection("beds", access="ward")
    typing, online = app.channel("typing", dict[str, int]), app.presence("online", dict[str, int])

    @app.publish("found", public=True)
    async def found(ctx: Context, selector: Selector, order: str, skip: int, limit: int) -> object:
        sort = [(order, -1)] if order else None
        return people.find(selector, sort=sort, skip=skip, limit=limit)

    @app.publish("ward")
    async def ward(ctx: Context, ward: str) -> object:
        ctx.require("read", ward)
        return beds.find({"label": ward})

    @app.publish("joined", public=True)
    async def joined(ctx: Context, name: str) -> object:
        return people.find({"name": name}, children=[lambda one: people.find({"of": one["name"]})])

    @app.publish("broken", public=True)
    async def broken(ctx: Context, name: str) -> object:
        def fail(parent: Mapping[str, Any]) -> Cursor:
            raise ValueError(f"{parent['name']} {name}")

        return people.find({"name": name}, children=[fail])

    @app.publish("counted", public=True)
    async def counted(ctx: Context, name: str) -> object:
        return app.live_count(f"of {name}", people.find({"name": name}))

    @app.publish("by hand", public=True)
    async def by_hand(ctx: Context, name: str) -> None:
        ctx.added(name, name, {name: name})
        ctx.ready()

    @app.method("put", public=True)
    async def put(ctx: Context, id: str, name: str) -> str:
        await people.update_one(
            {"_id": id}, {"$set": {"name": name, "of": name, "age": NUMBER}}, upsert=True
        )
        return name

    @app.method("refuse", public=True)
    async def refuse(ctx: Context, id: str) -> None:
        await people.insert_one({"_id": id})
        raise MethodError(id, id, {"id": id})

    @app.publish("here", public=True)
    async def here(ctx: Context, ward: str) -> object:
        return [typing.listen(ward), online.here(ward), online.here(f"{ward} too", by="user")]

    @app.method("say", public=True)
    async def say(ctx: Context, ward: str, word: EJSONValue) -> None:
        await typing.send(ward, word)

    @app.method("enter", public=True)
    async def enter(ctx: Context, ward: str, info: EJSONValue) -> None:
        await online.enter(ctx, ward, info)

    @app.method("login", public=True)
    async def login(ctx: Context, user_id: str) -> None:
        await ctx.set_user_id(user_id)

    return app


class Ward:
    """A node, its management listener, and who uses it.

    Attributes:
        app: What is served.
        address: Of the node.
        management: Of its management listener.
    """

    def __init__(self, serve: Serve, app: App, address: str, management: str) -> None:
        self._serve = serve
        self.app = app
        self.address = address
        self.management = management

    async def person(self, **bolide: object) -> Peer:
        """Return a session of somebody who types marked values, headers included."""
        # uvicorn takes the first address of a proxy on loopback for the peer's, whatever it is.
        headers = {"user-agent": MARK, "x-forwarded-for": MARK, "cookie": f"a={MARK}"}
        peer = await self._serve.peer(self.address, additional_headers=headers)
        if not bolide:
            await peer.connect()
            return peer
        await peer.send(msg="connect", version="1", support=["1"], bolide=bolide)
        assert (await peer.read())["msg"] == "connected"
        return peer

    async def overview(self) -> Overview:
        return msgspec.json.decode(await self._told("/top?limit=1000"), type=Overview)

    async def all_that_operators_see(self, log: io.StringIO) -> str:
        told = [await self._told(path) for path in ("/top?limit=1000", "/metrics", "/readyz")]
        shown = plain_lines(compare(None, await self.overview()))
        return "\n".join([*told, *shown, log.getvalue()])

    async def stored_calls(self) -> list[Document]:
        node = self.app.asgi.node
        assert node is not None
        return list((await node.store.read(Query(collection="_bolide_calls"))).documents)

    async def _told(self, path: str) -> str:
        async with httpx.AsyncClient(base_url=f"http://{self.management}") as http:
            answer = await http.get(path)
        assert answer.status_code == 200
        return answer.text


async def _output(*args: str) -> str:
    """Run ``bolide`` and return all that it says."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bolide.ops", *args),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    assert len(out) > 100
    return out.decode()


async def _until(peer: Peer, *kinds: str) -> dict[str, Any]:
    """Return the next message of one of these kinds."""
    while (message := await peer.read())["msg"] not in kinds:
        pass
    return message


async def _subscribe(peer: Peer, name: str, *params: Any) -> dict[str, Any]:
    await peer.send(msg="sub", id=f"{name} {MARK} {params}", name=name, params=params)
    return await _until(peer, "ready", "nosub")


@pytest_asyncio.fixture
async def ward(serve: Serve, log: io.StringIO) -> Ward:
    app = make_app()
    address = await serve(app.asgi)
    management = await serve(create_management(app.asgi), lifespan="off")
    ward = Ward(serve, app, address, management)
    await (await ward.person()).call("put", MARK, MARK)
    return ward


async def test_open_subscriptions_show_no_value(ward: Ward, log: io.StringIO) -> None:
    found: list[tuple[dict[str, Any], str, int, int]] = [
        ({"name": MARK}, "", 0, 0),
        ({"_id": MARK, "age": {"$gte": NUMBER}}, "", 0, 0),
        ({"age": {"$gte": NUMBER}}, "", 0, 0),
        ({f"of.{MARK}": {"$in": [MARK, NUMBER]}}, "", 0, 0),
        ({"$or": [{"name": {"$regex": MARK}}, {"name": {"$not": {"$eq": MARK}}}]}, "", 0, 0),
        ({"list": {"$elemMatch": {MARK: MARK}}}, "", 0, 0),
        ({"name": {MARK: {MARK: NUMBER}}}, "", 0, 0),
        ({"name": MARK}, f"of.{MARK}", 0, NUMBER),
        ({"name": MARK}, "name", 18, NUMBER),
        ({"name": MARK}, "name", NUMBER, NUMBER),
        ({"name": MARK}, "", 0, NUMBER),
    ]
    for args in found:
        assert (await _subscribe(await ward.person(), "found", *args))["msg"] == "ready"
    person = await ward.person()
    for name in ("joined", "counted", "by hand", "ward"):
        assert (await _subscribe(person, name, MARK))["msg"] == "ready"
    await person.call("login", f"{MARK} user")
    await person.call("put", "other", MARK)

    overview = await ward.overview()
    assert overview.live_queries.count >= len(found)
    drivers = {row.driver.split()[0] for row in overview.live_query_rows}
    assert drivers == {"index", "scan", "window", "re-query"}
    names = {one.name for row in overview.session_rows for one in row.publications}
    assert names == {"found", "ward", "joined", "counted", "by hand"}
    assert any(row.is_logged_in for row in overview.session_rows)
    seen = await ward.all_that_operators_see(log)
    for flag in ("--once", "--json"):
        seen += await _output("top", f"http://{ward.management}", flag)
    assert MARK not in seen
    assert str(NUMBER) not in seen


async def test_live_queries_that_fail_show_no_value(ward: Ward, log: io.StringIO) -> None:
    broken, slow, person = [await ward.person() for _ in range(3)]
    assert (await _subscribe(broken, "broken", MARK))["msg"] == "nosub"
    selector = {"name": {"$regex": SLOW_PATTERN}}
    assert (await _subscribe(slow, "found", selector, "", 0, 0))["msg"] == "ready"
    await person.call("put", "slow", "a" * 60 + MARK)
    error = (await _until(slow, "nosub"))["error"]
    assert error["error"] == "query-too-expensive"
    assert MARK not in str(error)

    assert "ChildFailed" in log.getvalue()
    assert '"event": "refused"' in log.getvalue()
    assert MARK not in await ward.all_that_operators_see(log)


async def test_channels_and_presence_show_no_topic_and_nothing_said(
    ward: Ward, log: io.StringIO
) -> None:
    person, other = await ward.person(), await ward.person()
    assert (await _subscribe(person, "here", MARK))["msg"] == "ready"
    await other.call("login", f"{MARK} user")
    for method in ("say", "enter"):
        assert "error" not in await other.call(method, MARK, {MARK: NUMBER})
        assert (await _until(person, "added"))["fields"]["topic"] == MARK
        for topic, bad in (
            (MARK, MARK), (MARK, {MARK: MARK}), (MARK, {MARK: None}), (MARK * 100, {MARK: NUMBER}),
            (MARK, {f"{MARK}{number}": NUMBER for number in range(999)}),
        ):  # fmt: skip
            error = (await other.call(method, topic, bad))["error"]
            # A topic that is too long, or what the app let through unchecked.
            assert error["error"] in (400, 500)
            assert MARK not in str(error)
            assert str(NUMBER) not in str(error)
    node = ward.app.asgi.node
    assert node is not None
    assert node.broadcast is not None
    for text in (f'["{MARK}",{{"{MARK}":"{MARK}"}}]', f'["{MARK}"]', MARK):
        for topic in ("channel/typing", "presence", MARK, f"channel/{MARK}"):
            node.broadcast.publish(topic, text.encode())

    state = (await ward.overview()).broadcast
    assert state is not None
    assert (state.listeners, state.own_members) == (1, 1)
    assert "read presence" in log.getvalue()
    seen = await ward.all_that_operators_see(log)
    assert MARK not in seen
    assert str(NUMBER) not in seen


async def test_a_resync_shows_no_id_and_no_digest(ward: Ward, log: io.StringIO) -> None:
    person = await ward.person(resync=True)
    await person.send(msg="sub", id=MARK, name="found", params=[{"name": MARK}, "", 0, 0])
    views = {"people": DIGEST, MARK: DIGEST}
    for bad in ({MARK: MARK}, {"people": MARK}):
        await person.send(msg="bolide.resync", subs=[MARK], views=bad)
    await person.send(msg="bolide.resync", subs=[MARK, f"{MARK} 2"], views=views)
    assert set((await _until(person, "bolide.resync"))["want"]) == {"people", MARK}
    held = {MARK: DIGEST, f"{MARK} gone": DIGEST}
    await person.send(msg="bolide.resync", have={"people": {MARK: MARK}}, more=True)
    await person.send(msg="bolide.resync", have={"people": held, MARK: held, f"{MARK}s": held})
    await _until(person, "ready")
    await person.send(msg="bolide.resync", have={"people": held})
    # One that does not go on is closed.
    other = await ward.person(resync=True)
    await other.send(msg="bolide.resync", subs=[], views={MARK: DIGEST})
    await _until(other, "bolide.resync")
    await other.connection.close()

    seen = await ward.all_that_operators_see(log)
    assert MARK not in seen
    assert DIGEST not in seen


async def test_call_ids_are_secrets(ward: Ward, log: io.StringIO) -> None:
    one, other = await ward.person(call=True), await ward.person(call=True)

    async def call(peer: Peer, method: str, *params: Any, **id: str) -> dict[str, Any]:
        await peer.send(msg="method", id=MARK, method=method, params=params, bolide=id)
        return await _until(peer, "result", "error")

    id = {"client": SECRET, "call": CALL}
    for peer in (one, other):
        assert (await call(peer, "put", MARK, MARK, **id))["result"] == MARK
    assert (await call(other, "put", "else", MARK, **id))["error"]["error"] == "call-id-conflict"
    for _ in range(2):
        refused = await call(one, "refuse", f"{MARK} refused", client=SECRET, call="refused")
        assert refused["error"]["error"] == f"{MARK} refused"
    for wrong in ({"client": SECRET}, {"client": SECRET[:9], "call": CALL}, {"call": CALL}):
        await call(one, "put", MARK, MARK, **wrong)

    stored = await ward.stored_calls()
    assert len(stored) == 2
    assert SECRET not in repr(stored)
    assert CALL not in repr(stored)
    seen = await ward.all_that_operators_see(log)
    assert SECRET not in seen
    assert SECRET[:9] not in seen
    assert MARK not in seen


async def test_a_stub_that_fails_shows_no_value(
    ward: Ward, log: io.StringIO, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(simulation: Simulation, id: str, name: str) -> None:
        simulation.collection("people").insert({"_id": id, "name": name})
        raise ValueError(f"{id} {name}")

    async with connect(f"http://{ward.address}") as client:
        client.stub("put")(fail)
        await client.subscribe("found", {"name": MARK}, "", 0, 0)
        await client.call("put", f"{MARK} stub", MARK)
        with pytest.raises(MethodError):
            await client.call("refuse", f"{MARK} refused")
    # What the client says of it with the texts that its log would show.
    told = [one.getMessage() for one in caplog.records if one.name == "bolide.client"]
    assert any(text.startswith("The stub of put failed: ValueError in ") for text in told)
    assert MARK not in "".join(told) + await ward.all_that_operators_see(log)


async def test_the_check_notices_field_names_that_are_made_of_data(
    ward: Ward, log: io.StringIO
) -> None:
    """What looks like a name in a path is taken for one: the documented limit of shapes."""
    person = await ward.person()
    await _subscribe(person, "found", {"seen.AdaLovelace": True}, "", 0, 0)
    assert "AdaLovelace" in await ward.all_that_operators_see(log)
