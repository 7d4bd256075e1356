"""One job in one node: waits for its time, takes its lease and runs it."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, assert_never

import structlog

from bolide.server.clock import Clock
from bolide.server.jobs.job_store import JobStore
from bolide.server.jobs.lease import (
    Change,
    Create,
    LeaseTimes,
    Look,
    Now,
    Sight,
    Take,
    Wait,
    decide,
)
from bolide.server.jobs.record import JobRecord
from bolide.server.jobs.registry import Job
from bolide.server.jobs.run import JobRun, RunEnd
from bolide.server.methods.errors import log_failure

__all__ = ["JobKeeper", "Keeping"]

_LOOK_AGAIN: Final = float("-inf")


@dataclass(frozen=True, slots=True, kw_only=True)
class Keeping:
    """What the keepers of one node share.

    Attributes:
        store: Where the records are.
        clock: The time.
        times: The parts of the leases that are taken.
        holder: The id of this process.
        node: Its name.
        ended: Told of each run that ended here: the job's name, how, and seconds.
    """

    store: JobStore
    clock: Clock
    times: LeaseTimes
    holder: str
    node: str
    ended: Callable[[str, RunEnd, float], object]


class JobKeeper:
    """Keeps one job.

    Args:
        job: Which one.
        keeping: Shared with the others.

    Attributes:
        job: As given.
    """

    def __init__(self, job: Job, keeping: Keeping) -> None:
        """Know nothing yet."""
        self.job = job
        self._keeping = keeping
        self._sight: Sight | None = None
        self._run: JobRun | None = None
        self._is_closed = False
        self._wake = asyncio.Event()
        self._is_failing = False
        self._log = structlog.get_logger("bolide.jobs").bind(job=job.name)

    @property
    def record(self) -> JobRecord | None:
        """The job's record as it was seen last, None if it was not."""
        return None if self._sight is None else self._sight.record

    @property
    def is_running(self) -> bool:
        """The job runs here."""
        return self._run is not None

    def close(self) -> None:
        """Begin no more runs; :meth:`keep` returns after the one that goes on."""
        self._is_closed = True
        self._wake.set()

    def break_off(self) -> None:
        """Cancel the run that goes on."""
        if self._run is not None:
            self._run.break_off()

    async def keep(self) -> None:
        """Run the job whenever it is due here, until it is closed."""
        while not self._is_closed:
            try:
                await self._step()
                self._is_failing = False
            except Exception as error:  # the store is away: again, soon
                if not self._is_failing:
                    log_failure(self._log, error, task="look for the next run")
                self._is_failing = True
                self._look_again()
                await self._wait(self._keeping.clock.now() + self._keeping.times.look_s)

    async def _step(self) -> None:
        keeping, clock = self._keeping, self._keeping.clock
        if self._sight is not None and self._sight.looked_at == _LOOK_AGAIN:
            await self._look()
        now = Now(clock.now(), clock.wall_ms())
        step = decide(
            self.job.schedule, self._sight, now, keeping.times, keeping.holder, keeping.node
        )
        match step:
            case Wait():
                await self._wait(step.until)
            case Look():
                await self._look()
            case Create():
                await keeping.store.create(self.job.name, step.record)
                self._look_again()
            case Change():
                if await keeping.store.replace(self.job.name, step.before, step.after):
                    self._log.error("job record changed", why=step.why)
                self._look_again()
            case Take():
                await self._take(step)
            case _:
                assert_never(step)

    async def _look(self) -> None:
        record = await self._keeping.store.read(self.job.name)
        now = self._keeping.clock.now()
        sight = self._sight
        self._sight = Sight(record, now, now) if sight is None else sight.then(record, now)

    def _look_again(self) -> None:
        if self._sight is not None:
            self._sight = replace(self._sight, looked_at=_LOOK_AGAIN)

    async def _take(self, step: Take) -> None:
        keeping, sent_at = self._keeping, self._keeping.clock.now()
        self._look_again()
        is_ours = await keeping.store.replace(self.job.name, step.before, step.after)
        began_at = keeping.clock.now()
        # An answer that came too late is as good as none.
        if not is_ours or began_at >= sent_at + keeping.times.give_up_s:
            return
        if self._is_closed:
            await keeping.store.end(self.job.name, keeping.holder, step.after.released())
            return
        if step.before.is_held and step.before.holder != keeping.holder:
            self._log.warning("job taken over: its node was silent", node=step.before.node)
        self._sight = Sight(step.after, began_at, _LOOK_AGAIN)
        self._run = JobRun(self.job, step.after, sent_at, keeping.store, keeping.clock)
        try:
            end = await self._run.ended()
        finally:
            self._run = None
        keeping.ended(self.job.name, end, keeping.clock.now() - began_at)

    async def _wait(self, until: float) -> None:
        """Wait until a time, or until it is closed."""
        if self._is_closed:
            return
        self._wake.clear()
        timer = self._keeping.clock.call_at(until, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()
