"""One run of a job, under a lease that it renews, and that it may lose."""

import asyncio
from typing import Literal, TypeAlias

import structlog

from bolide.server.clock import Clock
from bolide.server.jobs.job_store import JobStore
from bolide.server.jobs.lease import LeaseTimes
from bolide.server.jobs.record import JobRecord
from bolide.server.jobs.registry import Job
from bolide.server.logging.log import describe_failure
from bolide.server.methods.errors import log_failure

__all__ = ["JobRun", "RunEnd"]

RunEnd: TypeAlias = Literal["ok", "error", "lost", "broken off", "not recorded"]
"""How a run ended; all but the first two begin again, here or elsewhere."""


class JobRun:
    """A run that was begun; made on the event loop.

    The handler is cancelled when nobody can know any more that the lease is held: the store did
    not answer in time, this process stood still, or somebody else has it.

    Args:
        job: What is run.
        record: With the lease in our hands.
        sent_at: When that was sent to the store, monotonic time, seconds.
        store: Where it is.
        clock: The time.
    """

    def __init__(
        self, job: Job, record: JobRecord, sent_at: float, store: JobStore, clock: Clock
    ) -> None:
        """Begin."""
        self._job = job
        self._record = record
        self._store = store
        self._clock = clock
        self._times = LeaseTimes(record.lease_s)
        self._log = structlog.get_logger("bolide.jobs").bind(job=job.name)
        self._began_at = clock.now()
        self._held_until = sent_at + self._times.give_up_s
        self._is_lost = False
        self._is_store_away = False
        self._is_broken_off = False
        self._wake = asyncio.Event()
        self._renewals: set[asyncio.Task[None]] = set()
        self._renewal = clock.call_at(self._began_at + self._times.renew_s, self._renew)
        self._expiry = clock.call_at(self._held_until, self._expire)
        self._handler = asyncio.create_task(self._handle())

    def break_off(self) -> None:
        """Cancel the handler, for the run to begin again elsewhere; if it ended, wait no longer."""
        self._is_broken_off = True
        self._wake.set()
        self._handler.cancel()

    async def ended(self) -> RunEnd:
        """Wait until the handler ended and that is recorded; tells how."""
        try:
            await asyncio.wait([self._handler])
            return await self._end()
        finally:
            self._renewal.cancel()
            self._expiry.cancel()
            for task in (self._handler, *self._renewals):
                task.cancel()

    async def _handle(self) -> None:
        await self._job.handler()

    async def _end(self) -> RunEnd:
        seconds = self._clock.now() - self._began_at
        log = self._log.bind(seconds=round(seconds, 3))
        handler = self._handler
        if handler.cancelled() and self._is_lost:
            log.warning("job cancelled: its lease was lost")
            return "lost"
        if handler.cancelled() and self._is_broken_off:
            log.info("job broken off")
            return await self._recorded(self._record.released(), "broken off")
        error = asyncio.CancelledError() if handler.cancelled() else handler.exception()
        outcome: Literal["ok", "error"] = "ok" if error is None else "error"
        if error is None:
            log.info("job ran")
        else:
            log.error("job failed", **describe_failure(error))
        record, now_ms = self._record, self._clock.wall_ms()
        mark_ms = self._job.schedule.mark_ms(record.due_ms, record.started_ms, now_ms)
        after = record.ended(mark_ms=mark_ms, seconds=seconds, outcome=outcome)
        return await self._recorded(after, outcome)

    async def _recorded(self, after: JobRecord, end: RunEnd) -> RunEnd:
        """Write what became of the run, however long the store is away."""
        while True:
            try:
                if await self._store.end(self._job.name, self._record.holder, after):
                    return end
            except Exception as error:
                self._tell_away(error)
            else:
                self._log.warning("job run does not count: its lease was lost")
                return "lost"
            if self._is_broken_off:
                return "not recorded"
            await self._pause()

    async def _pause(self) -> None:
        """Wait a while, or until the run is broken off."""
        self._wake.clear()
        timer = self._clock.call_at(self._clock.now() + self._times.renew_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            timer.cancel()

    def _renew(self) -> None:
        """Send a sign of life, even if the one before was not answered: its server may be gone."""
        now = self._clock.now()
        self._renewal = self._clock.call_at(now + self._times.renew_s, self._renew)
        task = asyncio.create_task(self._renew_once(now))
        self._renewals.add(task)
        task.add_done_callback(self._renewals.discard)

    async def _renew_once(self, sent_at: float) -> None:
        record = self._record
        try:
            is_ours = await self._store.renew(self._job.name, record.term, record.holder)
        except Exception as error:
            self._tell_away(error)
            # Again, sooner: what counts is that one comes through.
            self._renewal.cancel()
            again_at = self._clock.now() + self._times.look_s
            self._renewal = self._clock.call_at(again_at, self._renew)
            return
        self._is_store_away = False
        if is_ours:
            self._held_until = max(self._held_until, sent_at + self._times.give_up_s)
        elif not self._handler.done():
            self._lose()

    def _expire(self) -> None:
        if self._clock.now() < self._held_until:
            self._expiry = self._clock.call_at(self._held_until, self._expire)
        else:
            self._lose()

    def _lose(self) -> None:
        self._is_lost = True
        self._handler.cancel()

    def _tell_away(self, error: Exception) -> None:
        if not self._is_store_away:
            self._is_store_away = True
            log_failure(self._log, error, task="keep the lease")
