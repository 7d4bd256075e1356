"""kill -9 of nodes under write load.

``BOLIDE_TESTS_KILLS`` is the number of kills (10), once with calls that are made again and once
without. ``pytest -rP`` shows how many calls were acknowledged, and what became of the others.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.faults.cluster import TIMEOUT_S, Cluster
from tests.faults.people import Progress, Reader, Writer

from bolide.client import Backoff, Client, connect
from bolide.core.values import Document
from bolide.server.stores.base import Query
from bolide.server.stores.sqlite import SQLiteStore

KILLS = int(os.environ.get("BOLIDE_TESTS_KILLS", "10"))
NODES = 2
WRITERS = 4
WINDOW = 10
BACKOFF = Backoff(eager_delay_s=0.01, base_s=0.05, exponent=1.0, max_s=0.1)


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncGenerator[Cluster]:
    cluster = Cluster(tmp_path, NODES)
    await cluster.nodes[0].start()
    await asyncio.gather(*(node.start() for node in cluster.nodes[1:]))
    yield cluster
    for node in cluster.nodes:
        await node.kill()


class Scene:
    """Writers and readers around a cluster, and a look at the file that passes no node."""

    def __init__(self, cluster: Cluster, stack: AsyncExitStack) -> None:
        self.progress = Progress()
        self.writers: list[Writer] = []
        self.readers: list[Reader] = []
        self._cluster = cluster
        self._stack = stack
        self._store = SQLiteStore(cluster.database)
        self._writing: list[asyncio.Task[None]] = []

    async def begin(self, *, retry: bool) -> None:
        await self._store.open()
        self._stack.push_async_callback(self._store.close)
        for number in range(WRITERS):
            client = await self._connect(number)
            writer = Writer(f"w{number}", client, retry=retry, progress=self.progress)
            self.writers.append(writer)
        views: list[tuple[str, tuple[Any, ...], Callable[[list[Document]], list[Document]]]] = [
            ("runs", (), list),
            ("runs", (), list),
            ("runs.of", ("w1",), lambda documents: _of(documents, "w1")),
            ("runs.last", (WINDOW,), _last),
        ]
        for number, (name, args, expected) in enumerate(views):
            reader = Reader(await self._connect(number), name, args, expected)
            await reader.subscribe()
            self.readers.append(reader)
        self._writing = [asyncio.create_task(writer.write()) for writer in self.writers]
        self._stack.push_async_callback(self._end)

    async def check(self) -> None:
        """Stop writing, and compare everything with the file."""
        async with asyncio.timeout(TIMEOUT_S):
            pausing = asyncio.gather(*(writer.pause() for writer in self.writers))
            either: list[asyncio.Future[Any]] = [pausing, *self._writing]
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            for task in self._writing:
                assert not task.done(), f"a writer ended: {task}"
            await pausing
            stored = await self._documents("runs")
            self._check_runs({document["_id"]: document for document in stored})
            [total] = await self._documents("totals")
            assert total["runs"] == sum(document["runs"] for document in stored)
            for reader in self.readers:
                await reader.caught_up()
                await reader.agrees(stored)

    def summary(self, kills: int) -> str:
        """Say what the writers were told."""
        errors = sum((writer.errors for writer in self.writers), Counter[str]())
        acknowledged = sum(len(writer.acknowledged) for writer in self.writers)
        return f"{kills} kills: {acknowledged} calls acknowledged, not: {dict(errors)}"

    async def write(self, number: int) -> None:
        """Write until so many more calls are acknowledged, and go on."""
        for writer in self.writers:
            writer.go_on()
        async with asyncio.timeout(TIMEOUT_S):
            await self.progress.reached(self.progress.acknowledged + number)

    def _check_runs(self, runs: dict[str, Document]) -> None:
        for writer in self.writers:
            # A call with an id is sent until it was answered, or is known to have written.
            if writer.retries:
                assert set(writer.errors) <= {"write-outcome-unknown"}
            for number in writer.acknowledged:
                run = runs.get(f"{writer.name}-{number}", {"runs": 0})
                assert run["runs"] == 1, f"an acknowledged call ran {run['runs']} times"
                assert "done" in run, "a write of an acknowledged call is lost"
            for number in writer.unknown:
                run = runs.get(f"{writer.name}-{number}", {"runs": 0})
                assert run["runs"] <= 1, "a call ran twice"
        known = sum(len(writer.acknowledged) + len(writer.unknown) for writer in self.writers)
        assert len(runs) <= known, "a call ran that nobody made"

    async def _documents(self, collection: str) -> list[Document]:
        return list((await self._store.read(Query(collection=collection))).documents)

    async def _connect(self, first: int) -> Client:
        urls = self._cluster.urls(first % NODES)
        return await self._stack.enter_async_context(connect(urls, backoff=BACKOFF))

    async def _end(self) -> None:
        for task in self._writing:
            task.cancel()
        await asyncio.gather(*self._writing, return_exceptions=True)


def _of(documents: list[Document], writer: str) -> list[Document]:
    return [document for document in documents if document["writer"] == writer]


def _last(documents: list[Document]) -> list[Document]:
    # Equal numbers go by `_id`, whatever the direction of the sort.
    return sorted(documents, key=lambda d: (-d["number"], d["_id"]))[:WINDOW]


# With True the SDK sends a call again that was lost with its node, under the same call id.
@pytest.mark.parametrize("retry", [False, True])
async def test_kills_lose_no_write_run_no_call_twice_and_leave_no_view_stale(
    cluster: Cluster, retry: bool
) -> None:
    moments = random.Random(5)
    async with AsyncExitStack() as stack:
        scene = Scene(cluster, stack)
        await scene.begin(retry=retry)
        for kill in range(KILLS):
            # In turn: all clients that fled from one node are on the next.
            node = cluster.nodes[kill % NODES]
            await scene.write(moments.randrange(1, 60))
            await node.kill()
            await scene.write(moments.randrange(1, 30))
            await scene.check()
            await node.start()
        print(scene.summary(KILLS))
