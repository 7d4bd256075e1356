"""Runners on one store that freeze, are cut off, lose answers and die: no job runs twice at once.

The nodes share an event loop and a clock that the test owns. A node that stands still gets no timer
and no answer; what it waited for comes when it goes on, before its timers, as in a real process.

``BOLIDE_TESTS_JOB_HISTORIES`` is how many histories are played (40).
"""

import asyncio
import os
from dataclasses import dataclass, field
from datetime import datetime

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.unit.server.jobs.ways import NodeClock, Way

from bolide.core.values import Document
from bolide.server.jobs.registry import Jobs
from bolide.server.jobs.runner import JobRunner
from bolide.server.jobs.schedule import Every
from bolide.server.stores.base import (
    ChangeBatch,
    Insert,
    Position,
    Query,
    Receipt,
    Snapshot,
    WriteOperation,
)
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.own_collections import JOBS
from bolide.server.telemetry.metrics import Metrics
from bolide.server.testing import FakeClock

HISTORIES = int(os.environ.get("BOLIDE_TESTS_JOB_HISTORIES", "40"))
LEASE_S = 12.0
PERIOD_S = 20
SKEWS_MS = (0, 900, -900)


class SlowWay(Way):
    """A way to the store that takes time, and stands still with its node."""

    def __init__(self, to: MemoryStore, clock: NodeClock) -> None:
        super().__init__(to)
        self._clock = clock
        self.delay_s = 0.0
        self.goes_on = asyncio.Event()
        self.goes_on.set()

    async def read(self, query: Query, *, after: Position | None = None) -> Snapshot:
        await self._pass()
        found = await super().read(query, after=after)
        await self._pass()
        return found

    async def write(self, operation: WriteOperation, *, first: Insert | None = None) -> Receipt:
        await self._pass()
        try:
            return await super().write(operation, first=first)
        finally:
            await self._pass()

    async def _pass(self) -> None:
        if self.delay_s:
            passed = asyncio.Event()
            self._clock.call_at(self._clock.now() + self.delay_s, passed.set)
            await passed.wait()
        await self.goes_on.wait()


class Node:
    """A node with the job; it comes back after it was stopped or killed.

    Attributes:
        clock: Its own.
        way: Its way to the store.
        metrics: Of all its lives.
        running: Handlers that were begun and did not end.
        completed: Handlers that came to their end, since the beginning.
    """

    def __init__(self, number: int, clock: FakeClock, store: MemoryStore) -> None:
        self.clock = NodeClock(clock, SKEWS_MS[number])
        self.way = SlowWay(store, self.clock)
        self.running = 0
        self.completed = 0
        self._world = clock
        self._may_end = asyncio.Event()
        self._will_fail = False
        self._is_to_end = False
        self._start()

    def freeze(self) -> None:
        self.clock.is_frozen = True
        self.way.goes_on.clear()

    def thaw(self) -> None:
        self.clock.is_frozen = False
        self.way.goes_on.set()
        if self._is_to_end:
            self.let_end(fails=self._will_fail)
        self.clock.thaw()

    def let_end(self, *, fails: bool) -> None:
        """Let the run that goes on here end; on a node that stands still, when it goes on."""
        self._will_fail = fails
        self._is_to_end = self.clock.is_frozen
        if not self._is_to_end:
            self._may_end.set()

    async def kill(self) -> None:
        await self.die()
        self._start()

    async def die(self) -> None:
        self.thaw()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def stop(self) -> None:
        self.thaw()
        stopping = asyncio.create_task(self._runner.stop(0))
        while not stopping.done():
            await self._world.advance(1)
        self._start()

    def _start(self) -> None:
        jobs = Jobs()
        jobs.add("job", self._handle, Every.of(seconds=PERIOD_S))
        self._runner = JobRunner(jobs, self.way, self.clock, LEASE_S, Metrics())
        before = asyncio.all_tasks()
        self._runner.start()
        self._tasks = asyncio.all_tasks() - before

    async def _handle(self) -> None:
        self.running += 1
        may_end = self._may_end = asyncio.Event()
        self._is_to_end = False
        try:
            await may_end.wait()
            self.completed += 1
            if self._will_fail:
                raise ValueError
        finally:
            self.running -= 1


_ACTIONS = [
    "freeze", "thaw", "cut", "join", "lose answers", "give answers", "be slow", "be fast", "end",
    "fail", "kill", "stop", "wait",
]  # fmt: skip


@dataclass(frozen=True)
class Step:
    """Something happens to a node, and time passes.

    Attributes:
        action: What.
        node: 0 is the one that runs the job.
        seconds: How much time.
    """

    action: str
    node: int
    seconds: float


@dataclass
class World:
    """Some nodes, and a watch over the record of their job."""

    nodes: list[Node]
    clock: FakeClock
    store: MemoryStore
    terms: list[int] = field(default_factory=lambda: [0])
    runs: int = 0
    losses: int = 0
    run_for: list[datetime] = field(default_factory=list[datetime])

    def changes_received(self, batch: ChangeBatch) -> None:
        for change in batch.changes:
            if change.collection == JOBS and change.after is not None:
                self._watch(change.after)

    def history_lost(self, position: Position) -> None:
        raise AssertionError

    def _watch(self, record: Document) -> None:
        assert record["term"] - self.terms[-1] in (0, 1)
        self.terms.append(record["term"])
        assert record["losses"] - self.losses in (0, 1)
        self.losses = record["losses"]
        assert record["runs"] - self.runs in (0, 1)
        if record["runs"] > self.runs:
            assert record["dueAt"] not in self.run_for, "a time was run to its end twice"
            self.run_for.append(record["dueAt"])
        self.runs = record["runs"]

    async def step(self, step: Step) -> None:
        # Most happens to whom the job runs on.
        node = sorted(self.nodes, key=lambda node: -node.running)[step.node % len(self.nodes)]
        match step.action:
            case "freeze":
                node.freeze()
            case "thaw":
                node.thaw()
            case "cut":
                node.way.is_away = True
            case "join":
                node.way.is_away = False
            case "lose answers":
                node.way.loses_answers = True
            case "give answers":
                node.way.loses_answers = False
            case "be slow":
                node.way.delay_s = LEASE_S / 4
            case "be fast":
                node.way.delay_s = 0
            case "end":
                node.let_end(fails=False)
            case "fail":
                node.let_end(fails=True)
            case "kill":
                await node.kill()
            case "stop":
                await node.stop()
            case _:
                pass
        await self.clock.advance(step.seconds)
        self.check()

    def check(self) -> None:
        going = [node for node in self.nodes if not node.clock.is_frozen]
        assert sum(node.running for node in going) <= 1, "a job runs on two nodes"
        assert all(node.running <= 1 for node in self.nodes), "a job runs twice on a node"
        # What was done and could not be recorded is not counted; what was not done never is.
        assert self.runs <= sum(node.completed for node in self.nodes)

    async def heal(self) -> None:
        for node in self.nodes:
            node.way.is_away = node.way.loses_answers = False
            node.way.delay_s = 0
            node.thaw()
        await self.clock.advance(LEASE_S + PERIOD_S + 2)
        self.check()

    async def goes_on(self) -> None:
        """Make sure that the job runs on one node, once in each period."""
        for _ in range(3):
            (node,) = [node for node in self.nodes if node.running]
            runs = self.runs
            node.let_end(fails=False)
            await self.clock.advance(PERIOD_S + 2)
            self.check()
            assert self.runs == runs + 1


_STEPS = st.lists(
    st.builds(
        Step,
        st.sampled_from(_ACTIONS),
        st.sampled_from([0, 0, 1, 2]),
        st.sampled_from([0, 0.1, 1, LEASE_S / 6, LEASE_S * 4 / 6, LEASE_S, PERIOD_S]),
    ),
    max_size=20,
)


@settings(deadline=None, max_examples=HISTORIES)
@given(st.integers(2, 3), _STEPS)
def test_a_job_runs_once_at_a_time_whatever_happens_to_its_nodes(
    count: int, steps: list[Step]
) -> None:
    asyncio.run(_play(count, steps))


async def _play(count: int, steps: list[Step]) -> None:
    clock, store = FakeClock(), MemoryStore()
    await store.open()
    world = World([Node(number, clock, store) for number in range(count)], clock, store)
    store.listen(world)
    await clock.advance(0)
    await clock.advance(PERIOD_S)
    for step in steps:
        await world.step(step)
    await world.heal()
    await world.goes_on()
    for node in world.nodes:
        await node.die()
    await store.close()
