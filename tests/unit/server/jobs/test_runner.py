"""Jobs of nodes on one store, with a clock that the test owns."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

# Values of documents.
import pytest
import structlog
from structlog.testing import LogCapture
from tests.unit.server.jobs.ways import NodeClock, Way

from bolide.core.values import Document
from bolide.server.jobs.registry import Jobs
from bolide.server.jobs.runner import JobRunner
from bolide.server.jobs.schedule import Cron, Every
from bolide.server.jobs.statistics import JobStatistics
from bolide.server.stores.base import Insert, Query, Update
from bolide.server.stores.memory import MemoryStore
from bolide.server.stores.own_collections import JOBS
from bolide.server.telemetry.metrics import Metrics
from bolide.server.testing import FakeClock

LEASE_S = 12.0
PERIOD_S = 300.0
GRACE_S = 10.0
TAKEN_OVER_S = LEASE_S * 11 / 12


@dataclass
class Work:
    """What a job's handler does.

    Attributes:
        began: Which nodes began it, in order.
        ended: Which ended it.
        running: Which run it.
        proceed: It ends at once while this is set.
        error: What it raises.
    """

    began: list[str] = field(default_factory=list[str])
    ended: list[str] = field(default_factory=list[str])
    running: list[str] = field(default_factory=list[str])
    proceed: asyncio.Event = field(default_factory=asyncio.Event)
    error: Exception | None = None

    def on(self, node: str) -> Callable[[], Awaitable[None]]:
        async def handler() -> None:
            self.began.append(node)
            self.running.append(node)
            try:
                await self.proceed.wait()
                if self.error is not None:
                    raise self.error
                self.ended.append(node)
            finally:
                self.running.remove(node)

        return handler


@dataclass
class World:
    """A store, and nodes with one job."""

    clock: FakeClock = field(default_factory=FakeClock)
    store: Way = field(default_factory=Way)
    work: Work = field(default_factory=Work)
    runners: list[JobRunner] = field(default_factory=list[JobRunner])
    metrics: list[Metrics] = field(default_factory=list[Metrics])

    async def start(
        self,
        node: str,
        schedule: Every | Cron | None = None,
        *,
        clock: FakeClock | None = None,
        store: MemoryStore | None = None,
    ) -> JobRunner:
        jobs = Jobs()
        jobs.add("job", self.work.on(node), schedule or Every.of(seconds=PERIOD_S))
        self.metrics.append(Metrics())
        runner = JobRunner(
            jobs, store or self.store, clock or self.clock, LEASE_S, self.metrics[-1]
        )
        self.runners.append(runner)
        runner.start()
        await self.clock.advance(0)
        return runner

    async def record(self) -> Document:
        (found,) = (await self.store.read(Query(collection=JOBS))).documents
        return dict(found)

    def counted(self, outcome: str) -> float:
        labels = {"job": "job", "outcome": outcome}
        name = "bolide_job_seconds_count"
        found = [one.registry.get_sample_value(name, labels) or 0 for one in self.metrics]
        return sum(found)


@asynccontextmanager
async def making() -> AsyncGenerator[World]:
    world = World()
    await world.store.open()
    try:
        yield world
    finally:
        world.store.is_away = world.store.loses_answers = False
        world.work.proceed.set()
        for runner in world.runners:
            await runner.stop(GRACE_S)
        await world.store.close()


@pytest.fixture
async def world() -> AsyncGenerator[World]:
    async with making() as world:
        yield world


@pytest.fixture
def log() -> Generator[LogCapture]:
    capture = LogCapture()
    before = structlog.get_config()
    structlog.configure(processors=[capture])
    yield capture
    structlog.configure(**before)


def events(log: LogCapture) -> list[str]:
    return [entry["event"] for entry in log.entries]


def only(runner: JobRunner) -> JobStatistics:
    (found,) = runner.statistics()
    return found


async def test_a_job_runs_a_period_after_it_was_first_seen_and_then_each_period(
    world: World, log: LogCapture
) -> None:
    runner = await world.start("a")
    world.work.proceed.set()
    await world.clock.advance(PERIOD_S - 1)
    assert world.work.ended == []
    await world.clock.advance(1)
    assert world.work.ended == ["a"]
    await world.clock.advance(2 * PERIOD_S)
    assert world.work.ended == ["a", "a", "a"]
    assert events(log) == ["job ran"] * 3
    assert log.entries[0]["job"] == "job"
    seen = only(runner)
    assert (seen.runs, seen.errors, seen.losses, seen.outcome) == (3, 0, 0, "ok")
    assert (seen.state, seen.next_s) == ("waits", PERIOD_S)
    assert world.counted("ok") == 3


async def test_of_two_nodes_one_runs_it(world: World) -> None:
    a, b = await world.start("a"), await world.start("b")
    await world.clock.advance(PERIOD_S)
    assert len(world.work.began) == 1
    assert {only(a).state, only(b).state} == {"runs here", "runs"}
    assert only(a).node == only(b).node != ""
    world.work.proceed.set()
    await world.clock.advance(10 * PERIOD_S)
    assert len(world.work.ended) == 11
    assert (await world.record())["runs"] == 11
    assert world.counted("ok") == 11
    assert only(a).runs == only(b).runs == 11
    assert only(a).seconds == 0


async def test_a_run_that_is_longer_than_the_lease_stays_where_it_is(world: World) -> None:
    await world.start("a")
    await world.start("b")
    await world.clock.advance(PERIOD_S)
    await world.clock.advance(1.5 * PERIOD_S)
    assert len(world.work.began) == 1
    world.work.proceed.set()
    await world.clock.advance(0)
    assert len(world.work.ended) == 1
    # The times that it covered are left out.
    await world.clock.advance(0.5 * PERIOD_S - 1)
    assert len(world.work.began) == 1
    await world.clock.advance(1)
    assert len(world.work.began) == 2


async def test_a_job_that_raises_is_logged_without_values_and_goes_on(
    world: World, log: LogCapture
) -> None:
    runner = await world.start("a")
    world.work.error = ValueError("Anna Berg")
    world.work.proceed.set()
    await world.clock.advance(PERIOD_S)
    assert (only(runner).runs, only(runner).errors, only(runner).outcome) == (1, 1, "error")
    (entry,) = log.entries
    assert (entry["event"], entry["log_level"], entry["job"]) == ("job failed", "error", "job")
    assert entry["failure"][0]["type"] == "builtins.ValueError"
    assert "Anna" not in str(log.entries)
    assert world.counted("error") == 1
    world.work.error = None
    await world.clock.advance(PERIOD_S)
    assert (only(runner).runs, only(runner).errors, only(runner).outcome) == (2, 1, "ok")


async def test_a_job_that_cancels_itself_failed(world: World, log: LogCapture) -> None:
    runner = await world.start("a")
    await world.clock.advance(PERIOD_S)
    current = next(t for t in asyncio.all_tasks() if "JobRun._handle" in repr(t))
    current.cancel()
    await world.clock.advance(0)
    assert (only(runner).runs, only(runner).errors) == (1, 1)
    assert events(log) == ["job failed"]


async def test_the_job_of_a_node_that_stands_still_runs_elsewhere_and_counts_once(
    world: World, log: LogCapture
) -> None:
    frozen = NodeClock(world.clock)
    await world.start("a", clock=frozen)
    await world.clock.advance(PERIOD_S)
    b = await world.start("b")
    assert world.work.running == ["a"]
    frozen.is_frozen = True
    await world.clock.advance(TAKEN_OVER_S)
    assert world.work.running == ["a", "b"]
    assert "job taken over: its node was silent" in events(log)
    frozen.thaw()
    await world.clock.advance(0)
    assert world.work.running == ["b"]
    assert "job cancelled: its lease was lost" in events(log)
    world.work.proceed.set()
    await world.clock.advance(0)
    assert world.work.ended == ["b"]
    assert (only(b).runs, only(b).losses) == (1, 1)
    assert (world.counted("ok"), world.counted("lost")) == (1, 1)


async def test_what_a_node_writes_after_its_lease_was_taken_does_not_count(
    world: World, log: LogCapture
) -> None:
    frozen = NodeClock(world.clock)
    await world.start("a", clock=frozen)
    await world.clock.advance(PERIOD_S)
    b = await world.start("b")
    frozen.is_frozen = True
    await world.clock.advance(TAKEN_OVER_S)
    # Both end in the same turn, before the timers of the one that stood still run.
    world.work.proceed.set()
    await world.clock.advance(0)
    assert sorted(world.work.ended) == ["a", "b"]
    assert (await world.record())["runs"] == 1
    assert "job run does not count: its lease was lost" in events(log)
    await world.clock.advance(1)
    assert (only(b).runs, only(b).losses) == (1, 1)


async def test_a_node_that_cannot_reach_the_store_cancels_its_run_before_another_takes_it(
    world: World, log: LogCapture
) -> None:
    away = Way(world.store)
    await world.start("a", store=away)
    await world.clock.advance(PERIOD_S)
    await world.start("b")
    away.is_away = True
    await world.clock.advance(LEASE_S * 4 / 6)
    assert world.work.running == []
    await world.clock.advance(TAKEN_OVER_S - LEASE_S * 4 / 6)
    assert world.work.running == ["b"]
    assert "failed" in events(log)
    away.is_away = False
    world.work.proceed.set()
    await world.clock.advance(PERIOD_S)
    assert world.work.ended[0] == "b"
    assert (await world.record())["runs"] == len(world.work.ended)


async def test_a_run_lives_through_two_fifths_of_a_lease_without_a_store(
    world: World, log: LogCapture
) -> None:
    await world.start("a")
    await world.start("b")
    await world.clock.advance(PERIOD_S)
    # Cut just before a sign of life, so that the last one is as old as it can be.
    await world.clock.advance(LEASE_S / 6 - 0.1)
    world.store.is_away = True
    await world.clock.advance(LEASE_S * 2 / 5)
    world.store.is_away = False
    await world.clock.advance(PERIOD_S)
    assert len(world.work.running) == len(world.work.began) == 1
    assert (await world.record())["losses"] == 0


async def test_a_run_whose_term_is_over_is_cancelled_at_its_next_sign_of_life(
    world: World, log: LogCapture
) -> None:
    """As in a machine that was suspended: its own clock says nothing."""
    await world.start("a")
    await world.clock.advance(PERIOD_S)
    other = {"$inc": {"term": 1}, "$set": {"holder": "other"}}
    await world.store.write(Update(collection=JOBS, selector={}, modifier=other))
    await world.clock.advance(LEASE_S / 6)
    assert world.work.running == []
    assert "job cancelled: its lease was lost" in events(log)


async def test_a_sign_of_life_counts_from_when_it_was_sent(world: World) -> None:
    way = Way(world.store)
    await world.start("a", store=way)
    await world.clock.advance(PERIOD_S)
    answer = asyncio.Event()
    way.after_write = answer.wait
    await world.clock.advance(LEASE_S / 6)
    way.is_away = True
    await world.clock.advance(LEASE_S * 3 / 6 - 1)
    answer.set()
    await world.clock.advance(0)
    await world.clock.advance(LEASE_S / 6)
    assert world.work.running == ["a"]
    await world.clock.advance(1)
    assert world.work.running == []


async def test_an_answer_that_is_lost_costs_nothing(world: World) -> None:
    runner = await world.start("a")
    world.store.loses_answers = True
    await world.clock.advance(PERIOD_S)
    assert world.work.began == []
    world.store.loses_answers = False
    await world.clock.advance(1)
    assert world.work.began == ["a"]
    assert only(runner).losses == 0
    world.store.loses_answers = True
    world.work.proceed.set()
    await world.clock.advance(0)
    world.store.loses_answers = False
    await world.clock.advance(LEASE_S / 6)
    assert (only(runner).runs, only(runner).outcome) == (1, "ok")
    assert world.counted("ok") == 1


async def test_the_end_of_a_run_is_written_when_the_store_is_back(
    world: World, log: LogCapture
) -> None:
    runner = await world.start("a")
    await world.clock.advance(PERIOD_S)
    world.store.is_away = True
    world.work.proceed.set()
    await world.clock.advance(PERIOD_S)
    assert events(log).count("failed") == 1
    world.store.is_away = False
    await world.clock.advance(LEASE_S / 6)
    assert only(runner).runs >= 1
    assert world.work.ended == ["a"] * only(runner).runs


async def test_a_store_that_is_away_at_the_time_makes_the_run_late(
    world: World, log: LogCapture
) -> None:
    await world.start("a")
    world.work.proceed.set()
    world.store.is_away = True
    await world.clock.advance(PERIOD_S + 20)
    assert world.work.began == []
    assert events(log) == ["failed"]
    world.store.is_away = False
    await world.clock.advance(LEASE_S / 12)
    assert world.work.ended == ["a"]


async def test_a_job_that_was_due_while_no_node_ran_runs_once_when_one_does(
    world: World,
) -> None:
    world.work.proceed.set()
    runner = await world.start("a")
    await runner.stop(GRACE_S)
    await world.clock.advance(10 * PERIOD_S)
    await world.start("b")
    assert world.work.ended == ["b"]
    await world.clock.advance(PERIOD_S - 1)
    assert world.work.ended == ["b"]
    await world.clock.advance(1)
    assert world.work.ended == ["b", "b"]


@pytest.mark.parametrize("catch_up", [True, False])
async def test_a_time_of_a_calendar_that_was_missed_is_caught_up_if_it_is_wanted(
    world: World, catch_up: bool
) -> None:
    hourly = Cron.of("0 * * * *", "UTC", catch_up=catch_up)
    world.work.proceed.set()
    runner = await world.start("a", hourly)
    await runner.stop(GRACE_S)
    await world.clock.advance(9.5 * 3600)
    await world.start("b", hourly)
    assert world.work.ended == (["b"] if catch_up else [])
    await world.clock.advance(1800)
    assert world.work.ended == (["b", "b"] if catch_up else ["b"])


@pytest.mark.parametrize("ahead_ms", [-900, 900, 40_000])
async def test_a_clock_that_is_wrong_makes_a_run_early_or_late_and_never_twice(
    world: World, ahead_ms: int
) -> None:
    hourly = Cron.of("0 * * * *", "UTC", catch_up=True)
    world.work.proceed.set()
    await world.start("a", hourly)
    await world.start("b", hourly, clock=NodeClock(world.clock, ahead_ms))
    await world.clock.advance(6 * 3600 + 10)
    assert len(world.work.ended) == 6
    assert (await world.record())["runs"] == 6


async def test_a_node_that_stops_lets_its_run_end(world: World) -> None:
    a = await world.start("a")
    await world.clock.advance(PERIOD_S)
    stopping = asyncio.create_task(a.stop(GRACE_S))
    await world.clock.advance(0)
    assert world.work.running == ["a"]
    world.work.proceed.set()
    await stopping
    record = await world.record()
    assert (world.work.ended, record["runs"], record["holder"]) == (["a"], 1, "")


async def test_what_does_not_end_in_time_is_broken_off_and_begins_elsewhere_at_once(
    world: World, log: LogCapture
) -> None:
    a, b = await world.start("a"), await world.start("b")
    await world.clock.advance(PERIOD_S)
    first = world.work.began[0]
    await (a if first == "a" else b).stop(0)
    assert world.work.running == []
    assert "job broken off" in events(log)
    await world.clock.advance(LEASE_S / 12)
    assert world.work.running == ["b" if first == "a" else "a"]
    record = await world.record()
    assert (record["runs"], record["losses"], record["starts"]) == (0, 0, 1)
    assert world.counted("broken off") == 1


async def test_a_node_that_drains_begins_nothing_and_ends_what_it_runs(world: World) -> None:
    a = await world.start("a")
    await world.clock.advance(PERIOD_S)
    a.drain()
    await world.start("b")
    world.work.proceed.set()
    await world.clock.advance(3 * PERIOD_S)
    assert world.work.ended == ["a", "b", "b", "b"]


async def test_a_lease_that_comes_while_the_node_closes_is_given_back(world: World) -> None:
    a = await world.start("a")

    async def drain() -> None:
        a.drain()

    world.store.before_write = drain
    await world.clock.advance(PERIOD_S)
    assert world.work.began == []
    assert (await world.record())["holder"] == ""


async def test_a_run_whose_end_cannot_be_written_does_not_hold_up_the_stop(world: World) -> None:
    a = await world.start("a")
    await world.clock.advance(PERIOD_S)
    world.store.is_away = True
    world.work.proceed.set()
    await world.clock.advance(0)
    await a.stop(0)
    assert world.counted("not recorded") == 1


async def test_a_lease_that_was_answered_too_late_is_not_run_under(world: World) -> None:
    a = await world.start("a")
    answer = asyncio.Event()
    world.store.after_write = answer.wait
    await world.clock.advance(PERIOD_S)
    await world.clock.advance(LEASE_S * 4 / 6)
    answer.set()
    await world.clock.advance(0)
    # It looks who has it, and takes its own lease anew.
    assert world.work.began == ["a"]
    assert (await world.record())["term"] == 2
    assert only(a).losses == 0


async def test_a_record_that_cannot_be_read_is_an_error_until_it_is_mended(
    world: World, log: LogCapture
) -> None:
    await world.store.write(Insert(collection=JOBS, documents=[{"_id": "job", "term": "x"}]))
    runner = await world.start("a")
    assert only(runner).state == "unknown"
    assert [entry.get("task") for entry in log.entries] == ["look for the next run"]
    good = {"$set": {"term": 0}}
    await world.store.write(Update(collection=JOBS, selector={}, modifier=good))
    await world.clock.advance(LEASE_S)
    assert len(log.entries) == 1


async def test_a_mark_of_a_wrong_clock_is_mended_and_told(world: World, log: LogCapture) -> None:
    wrong = NodeClock(world.clock, 3_600_000)
    a = await world.start("a", clock=wrong)
    await a.stop(GRACE_S)
    await world.start("b")
    assert events(log) == ["job record changed"]
    world.work.proceed.set()
    await world.clock.advance(PERIOD_S)
    assert world.work.ended == ["b"]


async def test_a_runner_without_jobs_writes_nothing(world: World) -> None:
    runner = JobRunner(Jobs(), world.store, world.clock, LEASE_S, Metrics())
    runner.start()
    await runner.stop(GRACE_S)
    assert runner.statistics() == ()
    assert not (await world.store.read(Query(collection=JOBS))).documents


async def test_a_store_that_never_answers_does_not_hold_up_the_stop(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bolide.server.jobs.runner._RELEASE_S", 0)
    a = await world.start("a")
    await world.clock.advance(PERIOD_S)
    world.store.before_write = asyncio.Event().wait
    world.work.proceed.set()
    await world.clock.advance(0)
    await a.stop(0)
    assert world.work.running == []
