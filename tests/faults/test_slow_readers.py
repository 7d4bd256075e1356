"""A client that never reads costs a node little, and lacks nothing once it reads again."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
from tests.faults.cluster import TIMEOUT_S, NodeProcess
from tests.faults.raw_client import RawClient

from bolide.client import Client, connect
from bolide.core.ddp.messages import (
    Added,
    Changed,
    Connect,
    Connected,
    Method,
    Ready,
    Removed,
    Result,
    ServerMessage,
    Sub,
    Updated,
)

CHANGES = 20_000
BATCH = 500
MARKS = 20
MOST_BYTES = 1 << 20

_ENVIRONMENT = {
    "BOLIDE_STORE": "memory:",
    "BOLIDE_SLOW_READER_TIMEOUT_S": "3600",
    "BOLIDE_HEARTBEAT_INTERVAL_S": "3600",
    "BOLIDE_METHOD_TIMEOUT_S": "3600",
}


@pytest.fixture
async def node(tmp_path: Path) -> AsyncGenerator[NodeProcess]:
    node = NodeProcess(tmp_path / "unused.db", "slow:app", _ENVIRONMENT)
    await node.start()
    yield node
    await node.kill()


class Sleeper:
    """A client that sends and does not read; then it reads, and checks each message.

    Attributes:
        views: Collection -> ``_id`` -> fields.
        answers: Id of a call -> what came for it, in order.
        is_ready: Ids of the subscriptions that are ready.
    """

    def __init__(self) -> None:
        self.views: dict[str, dict[Any, dict[str, Any]]] = {"notes": {}, "marks": {}}
        self.answers: dict[str, list[str]] = {}
        self.is_ready: set[str] = set()
        self._client = RawClient()

    async def begin(self, url: str) -> None:
        await self._client.connect(url)
        await self._client.send(Connect("1", ("1",), bolide={}))
        assert isinstance(await self._client.receive(), Connected)
        await self._client.send(Sub("notes", "notes"))
        while "notes" not in self.is_ready:
            self._take(await self._client.receive())

    async def call(self, number: int) -> None:
        await self._client.send(Method(str(number), "mark", (number,)))

    async def subscribe_to_marks(self) -> None:
        await self._client.send(Sub("marks", "marks"))

    async def wake(self, calls: int, notes: dict[Any, dict[str, Any]]) -> int:
        """Read until everything was answered and the view is right; return the bytes it took."""
        before = self._client.received
        while (
            self.views["notes"] != notes
            or len(self.answers) < calls
            or not all(len(answers) == 2 for answers in self.answers.values())
            or "marks" not in self.is_ready
        ):
            self._take(await self._client.receive())
        return self._client.received - before

    def close(self) -> None:
        self._client.close()

    def _take(self, message: ServerMessage) -> None:
        match message:
            case Added(collection, id, fields):
                assert id not in self.views[collection]
                self.views[collection][id] = dict(fields)
            case Changed(collection, id, fields):
                assert not message.cleared
                self.views[collection][id].update(fields)
            case Removed():
                raise AssertionError("nothing is removed")
            case Ready(subs):
                assert self.is_ready.isdisjoint(subs)
                self.is_ready.update(subs)
                # It subscribed after the first half of the calls.
                if "marks" in subs:
                    assert len(self.views["marks"]) >= MARKS // 2
            case Result(id, result, error):
                assert error is None
                assert result == int(id)
                self._answer(id, "result")
            case Updated(methods):
                for id in methods:
                    assert self.views["notes"]["n0"]["mark"] >= int(id), "updated before its data"
                    if "marks" in self.is_ready:
                        assert f"m{id}" in self.views["marks"]
                    self._answer(id, "updated")
            case _:
                raise AssertionError(message)

    def _answer(self, id: str, kind: str) -> None:
        answers = self.answers.setdefault(id, [])
        assert kind not in answers
        answers.append(kind)


async def test_a_client_that_never_reads_costs_at_most_1_mb_and_converges(
    node: NodeProcess,
) -> None:
    async with connect([node.url]) as writer, asyncio.timeout(3 * TIMEOUT_S):
        await writer.call("fill")
        await writer.subscribe("notes")
        sleeper = Sleeper()
        await sleeper.begin(node.url)
        # What is made once, and the rings that log and feed fill.
        await _change(writer, 0, 2_000)
        before = await writer.call("memory")
        for mark in range(MARKS):
            await _change(writer, 2_000 + mark * CHANGES // MARKS, CHANGES // MARKS)
            await sleeper.call(mark)
            if mark == MARKS // 2:
                await sleeper.subscribe_to_marks()
        # Its calls were done, and the answers wait for it.
        async for shown in writer.collection("notes").find({"mark": MARKS - 1}).results():
            if shown:
                break
        cost = await writer.call("memory") - before
        print(f"{CHANGES} changes cost {cost} bytes")
        assert cost <= MOST_BYTES
        found = writer.collection("notes").find().fetch()
        notes = {d["_id"]: {k: v for k, v in d.items() if k != "_id"} for d in found}
        assert len(notes) == 500
        took = await sleeper.wake(MARKS, notes)
        print(f"{took} bytes were sent to it when it woke")
        # The kernel took some MB before it was full; the rest was merged.
        assert took < CHANGES * 1_000 // 2
        sleeper.close()


async def _change(writer: Client, first: int, count: int) -> None:
    for start in range(first, first + count, BATCH):
        await writer.call("change", start, min(BATCH, first + count - start))
