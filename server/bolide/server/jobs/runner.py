"""The jobs of one node."""

import asyncio
import os
import secrets
import socket
from typing import Final

from bolide.server.clock import Clock
from bolide.server.jobs.job_store import JobStore
from bolide.server.jobs.keeper import JobKeeper, Keeping
from bolide.server.jobs.lease import LeaseTimes
from bolide.server.jobs.registry import Jobs
from bolide.server.jobs.run import RunEnd
from bolide.server.jobs.statistics import JobStatistics, statistics_of
from bolide.server.stores.base import Store
from bolide.server.telemetry.metrics import Metrics

__all__ = ["JobRunner", "node_name"]

_RELEASE_S: Final = 5.0
"""How long jobs that were cancelled may take to end, and their leases to be freed, seconds."""


def node_name() -> str:
    """Return what this process is called where jobs are shown: the machine's name and its own."""
    return f"{socket.gethostname()}:{os.getpid()}"


class JobRunner:
    """Runs the jobs whose lease this node gets.

    Args:
        jobs: All of the app's.
        store: Open.
        clock: The time.
        lease_s: Length of the leases, seconds.
        metrics: Where runs are counted.
    """

    def __init__(
        self, jobs: Jobs, store: Store, clock: Clock, lease_s: float, metrics: Metrics
    ) -> None:
        """Run nothing yet."""
        self._clock = clock
        self._metrics = metrics
        keeping = Keeping(
            store=JobStore(store),
            clock=clock,
            times=LeaseTimes(lease_s),
            holder=secrets.token_hex(8),
            node=node_name(),
            ended=self._ended,
        )
        self._keepers = tuple(JobKeeper(job, keeping) for job in jobs)
        self._tasks: set[asyncio.Task[None]] = set()
        metrics.jobs_running.set_function(lambda: sum(one.is_running for one in self._keepers))

    def start(self) -> None:
        """Begin to wait for the times of the jobs."""
        self._tasks = {asyncio.create_task(keeper.keep()) for keeper in self._keepers}

    def drain(self) -> None:
        """Begin no more runs."""
        for keeper in self._keepers:
            keeper.close()

    async def stop(self, grace_s: float) -> None:
        """Let running jobs end, cancel those that do not, and free their leases.

        Args:
            grace_s: How long they may take, seconds.
        """
        self.drain()
        if not self._tasks:
            return
        await asyncio.wait(self._tasks, timeout=grace_s)
        for keeper in self._keepers:
            keeper.break_off()
        await asyncio.wait(self._tasks, timeout=_RELEASE_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def statistics(self) -> tuple[JobStatistics, ...]:
        """Return what is known of each job."""
        now_ms = self._clock.wall_ms()
        return tuple(statistics_of(keeper, now_ms) for keeper in self._keepers)

    def _ended(self, job: str, end: RunEnd, seconds: float) -> None:
        self._metrics.job_seconds.labels(job, end).observe(seconds)
