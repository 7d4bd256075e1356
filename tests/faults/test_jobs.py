"""Jobs of real processes that are frozen and killed, on a file and on a replica set.

``pytest -rP`` shows after how long they began elsewhere.
"""

import asyncio
import fcntl
import re
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from tests.faults.cluster import TIMEOUT_S, NodeProcess

from bolide.client import connect
from bolide.core.values import Document
from bolide.server.jobs.job_store import JobStore
from bolide.server.jobs.record import JobRecord
from bolide.server.stores.base import ChangeBatch, Position, Query, Store
from bolide.server.stores.own_collections import JOBS
from bolide.server.stores.urls import open_store

LEASE_S = 3
# Beside the lease: a process that is busy with something else.
LATE_S = 2 * TIMEOUT_S / 60


@dataclass
class Cluster:
    """Two nodes with one job, and a look at their store that passes no node."""

    nodes: list[NodeProcess]
    store: Store
    lock: Path | None
    _news: asyncio.Event = field(default_factory=asyncio.Event)

    def changes_received(self, batch: ChangeBatch) -> None:
        self._news.set()

    def history_lost(self, position: Position) -> None:
        self._news.set()

    async def runs(self) -> list[Document]:
        return list((await self.store.read(Query(collection="runs"))).documents)

    async def record(self) -> JobRecord:
        record = await JobStore(self.store).read("slow")
        assert record is not None
        return record

    async def run(self, state: str, nodes: list[NodeProcess]) -> NodeProcess:
        """Wait until a run on one of some nodes is in a state; return which node's."""
        by_process = {node.pid: node for node in nodes}
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                self._news.clear()
                for run in await self.runs():
                    if run["state"] == state and run["process"] in by_process:
                        return by_process[run["process"]]
                await self._news.wait()

    async def record_where(self, holds: Callable[[JobRecord], bool]) -> JobRecord:
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                self._news.clear()
                if holds(record := await self.record()):
                    return record
                await self._news.wait()

    def other(self, node: NodeProcess) -> NodeProcess:
        return next(one for one in self.nodes if one is not node)

    def freeze(self, node: NodeProcess) -> None:
        """Stop a process at a moment at which it does not hold up the others' writes."""
        while True:
            node.freeze()
            if self.lock is None:
                return
            with self.lock.open() as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    node.thaw()
                else:
                    return


async def let_end(node: NodeProcess) -> None:
    async with asyncio.timeout(TIMEOUT_S), connect(node.url) as client:
        await client.call("proceed")


@pytest.fixture(params=["sqlite", "mongodb"])
async def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncGenerator[Cluster]:
    file = tmp_path / "jobs.db"
    on_file = request.param == "sqlite"
    url = f"sqlite:///{file}" if on_file else request.getfixturevalue("new_database")()
    environment = {"BOLIDE_STORE": url, "BOLIDE_JOB_LEASE_S": str(LEASE_S)}
    nodes = [NodeProcess(file, "scheduled:app", environment) for _ in range(2)]
    store = open_store(url)
    store.declare({"runs", JOBS})
    await store.open()
    cluster = Cluster(nodes, store, tmp_path / "jobs.db-lock" if on_file else None)
    store.listen(cluster)
    try:
        await asyncio.gather(*(node.start() for node in nodes))
        yield cluster
    finally:
        for node in nodes:
            await node.kill()
        store.unlisten(cluster)
        await store.close()


async def test_the_job_of_a_lost_node_runs_elsewhere_within_the_lease(cluster: Cluster) -> None:
    frozen = await cluster.run("began", cluster.nodes)
    other = cluster.other(frozen)
    began_at = time.monotonic()
    cluster.freeze(frozen)
    try:
        await cluster.run("began", [other])
        check_in_time("frozen", began_at)
    finally:
        frozen.thaw()
    await cluster.run("cancelled", [frozen])
    await frozen.said(re.compile("its lease was lost"))

    began_at = time.monotonic()
    await other.kill()
    await cluster.run("began", [frozen])
    check_in_time("killed", began_at)

    await let_end(frozen)
    await cluster.run("ended", [frozen])
    record = await cluster.record_where(lambda record: record.runs > 0)
    assert (record.runs, record.losses, record.errors) == (1, 2, 0)


def check_in_time(how: str, began_at: float) -> None:
    elapsed_s = time.monotonic() - began_at
    print(f"{how}: began elsewhere after {elapsed_s:.2f} s of {LEASE_S} s")
    assert elapsed_s < LEASE_S + LATE_S
