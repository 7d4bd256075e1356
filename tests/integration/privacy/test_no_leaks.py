"""What a person typed stays between that person and the database, whatever goes wrong.

A marked value is sent in every argument, field and bad frame, and into handlers that fail in all
ways we know; it must not be in any log line, metric, or message to another session.
"""

import asyncio
import io
import json
import logging
from collections.abc import AsyncGenerator
from typing import Any

import httpx
import pytest_asyncio
from tests.integration.conftest import Peer, Serve
from tests.integration.privacy.conftest import MARK

from bolide.server import App, Context, EJSONValue, MethodError, Settings
from bolide.server.web.management import create_management


def make_app(gate: asyncio.Event) -> App:
    app = App(Settings(store="memory:", publication_timeout_s=0.2, method_timeout_s=0.2))
    notes = app.collection("notes")

    @app.method("add", public=True)
    async def add(ctx: Context, id: str, text: str) -> None:
        await notes.insert_one({"_id": id, "text": text})

    @app.method("duplicate", public=True)
    async def duplicate(ctx: Context, text: str) -> None:
        await notes.create_index([("text", 1)], unique=True)
        await notes.insert_one({"text": text})
        await notes.insert_one({"text": text})

    @app.method("fails", public=True)
    async def fails(ctx: Context, kind: str, text: EJSONValue) -> None:
        local = {"text": text}
        match kind:
            case "raise":
                raise ValueError(text)
            case "cause":
                try:
                    raise KeyError(text)
                except KeyError as error:
                    raise RuntimeError(f"while {local}") from error
            case "group":
                raise ExceptionGroup(str(text), [ValueError(text)])
            case "mine":
                raise MethodError("mine", str(text), {"text": str(text)})
            case "selector":
                await notes.find_one({str(text): {f"${text!s}": text}})
            case "modifier":
                await notes.update_one({}, {f"${text!s}": {"a": text}})
            case "regex":
                await notes.find_one({"text": {"$regex": f"({text!s}"}})
            case "value":
                await notes.insert_one({"a": object(), str(text): text})
            case "log":
                ctx.log.error("failed", exc_info=ValueError(text))
            case "stdlib":
                logging.getLogger("app").error("failed %s", text)
            case "task":
                task = asyncio.create_task(_raise(text))
                await asyncio.wait([task])
                del task
            case _:
                raise AssertionError(kind)

    @app.method("leaks", public=True)
    async def leaks(ctx: Context, text: str) -> None:
        ctx.log.info("called", text=text)

    @app.method("strict", public=True)
    async def strict(ctx: Context, number: int, texts: list[int]) -> None: ...

    @app.method("slow", public=True)
    async def slow(ctx: Context, text: str) -> None:
        await gate.wait()

    @app.publish("notes", public=True)
    async def all_notes(ctx: Context) -> object:
        return notes.find({"_id": "shared"})

    @app.publish("fails", public=True)
    async def publication(ctx: Context, kind: str, text: str) -> object:
        match kind:
            case "raise":
                raise ValueError(text)
            case "hang":
                await asyncio.Event().wait()
            case "twice":
                return [notes.find({"text": text}), notes.find({"text": text})]
            case "changed":
                ctx.changed(text, text, {text: text})
            case "on_stop":
                ctx.on_stop(lambda: int(text))
                ctx.stop()
            case _:
                pass
        return text

    return app


async def _raise(text: object) -> None:
    raise ValueError(text)


class World:
    """A node, the one who types, and somebody else."""

    def __init__(
        self, typist: Peer, other: Peer, metrics: httpx.AsyncClient, gate: asyncio.Event
    ) -> None:
        self.typist = typist
        self.other = other
        self.metrics = metrics
        self.gate = gate

    async def all_that_others_see(self) -> str:
        await self.other.send(msg="method", id="last", method="none", params=[])
        seen: list[str] = []
        while '"last"' not in "".join(seen[-2:]) or "updated" not in "".join(seen[-2:]):
            seen.append(str(await self.other.connection.recv()))
        told = [(await self.metrics.get(path)).text for path in ("/metrics", "/top?limit=1000")]
        return "\n".join([*seen, *told])


@pytest_asyncio.fixture
async def world(serve: Serve, log: io.StringIO) -> AsyncGenerator[World]:
    gate = asyncio.Event()
    app = make_app(gate)
    address = await serve(app.asgi)
    management = await serve(create_management(app.asgi), lifespan="off")
    typist, other = await serve.peer(address), await serve.peer(address)
    for peer in (typist, other):
        await peer.connect()
    await other.send(msg="sub", id="s", name="notes", params=[])
    await other.read()
    async with httpx.AsyncClient(base_url=f"http://{management}") as metrics:
        yield World(typist, other, metrics, gate)


KINDS = ["raise", "cause", "group", "mine", "selector", "modifier", "regex", "value", "log"]


async def test_what_a_person_typed_reaches_nobody_else(world: World, log: io.StringIO) -> None:
    typist = world.typist
    for kind in [*KINDS, "stdlib", "task"]:
        for value in (MARK, {"a": MARK}, [MARK]):
            await typist.call("fails", kind, value)
    await typist.call("add", "own", MARK)
    await typist.call("add", "own", MARK)
    await typist.call("duplicate", MARK)
    await typist.call("strict", MARK, [MARK])
    await typist.call("strict", 1, [MARK])
    await typist.call("strict", {"$gt": MARK}, [])
    await typist.send(msg="method", id="slow", method="slow", params=[MARK])
    await typist.call("add", "after the slow one", MARK)  # begins when that lost its place
    world.gate.set()
    await typist.call(MARK, MARK)
    for kind in ("raise", "hang", "twice", "changed", "on_stop", "rubbish"):
        await typist.send(msg="sub", id=kind, name="fails", params=[kind, MARK])
        while (await typist.read())["msg"] != "nosub":
            pass
    await typist.send(msg="sub", id=MARK, name=MARK, params=[MARK])
    for frame in (MARK, f'{{"{MARK}', f'{{"msg":"{MARK}"}}', f'{{"msg":"sub","id":["{MARK}"]}}'):
        await typist.connection.send(frame)
    await typist.connection.send(MARK.encode())
    await typist.send(msg="method", id=MARK, method="add", params=[{"$type": MARK, "$value": 1}])
    await typist.call("add", "last", MARK)

    assert MARK not in await world.all_that_others_see()
    written = log.getvalue()
    assert written.count("\n") > 20
    assert MARK not in written
    assert all(json.loads(line) for line in written.splitlines())


async def test_the_check_notices_a_handler_that_logs_its_arguments(
    world: World, log: io.StringIO
) -> None:
    await world.typist.call("leaks", MARK)
    assert MARK in log.getvalue()


async def test_a_failure_is_logged_with_type_file_and_line(world: World, log: io.StringIO) -> None:
    await world.typist.call("fails", "cause", MARK)
    records: list[dict[str, Any]] = [json.loads(line) for line in log.getvalue().splitlines()]
    (failed,) = [record for record in records if record["event"] == "failed"]
    assert failed["method"] == "fails"
    assert failed["session"]
    types = [cause["type"] for cause in failed["failure"]]
    assert types == ["builtins.RuntimeError", "builtins.KeyError"]
    assert any("test_no_leaks.py:" in place for place in failed["failure"][0]["at"])
