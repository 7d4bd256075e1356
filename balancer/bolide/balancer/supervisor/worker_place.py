"""A place for a worker: when one ends, another one takes it."""

import asyncio
import logging
from collections.abc import Awaitable
from time import monotonic
from typing import Final, Protocol

from bolide.balancer.supervisor.worker_process import ENDED, WorkerProcess
from bolide.balancer.worker.messages import Retire

__all__ = ["RETIRE_GRACE_S", "Pool", "WorkerPlace"]

RETIRE_GRACE_S: Final = 5.0
"""How long a worker may last beyond the time that it was given to end."""

_HEALTHY_S: Final = 10.0
"""A worker that lasted so long is replaced at once."""
_FIRST_PAUSE_S: Final = 0.25
_LONGEST_PAUSE_S: Final = 30.0

_logger = logging.getLogger("bolide.balancer")


class Pool(Protocol):
    """What a place needs of all workers' pool."""

    restarts: int

    async def start(self) -> WorkerProcess:
        """Start a worker that is not told yet how to work."""
        ...

    async def tell(self, worker: WorkerProcess) -> str:
        """Tell a worker how to work; returns why it does not."""
        ...

    async def hear(self, worker: WorkerProcess) -> int:
        """Take what a worker says until it has ended; returns its exit status."""
        ...

    def wait(self, seconds: float, /) -> Awaitable[None]:
        """Let time pass."""
        ...


class WorkerPlace:
    """One of so many workers: when it ends, another one takes its place.

    Args:
        pool: Whose it is.

    Attributes:
        worker: The one that runs; None between two.
        is_ready: It works as told.
        first_answer: Why the first one does not work as told; empty if it does.
    """

    def __init__(self, pool: Pool) -> None:
        """Begin with a worker."""
        self.worker: WorkerProcess | None = None
        self.is_ready = False
        self.first_answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._pool = pool
        self._is_leaving = False
        self._keeping = asyncio.create_task(self._keep())

    async def leave(self, within_s: float) -> None:
        """Let its worker end with its last connection, and wait for it."""
        self._is_leaving = True
        worker = self.worker
        if worker is None:  # between two, or one is just being started
            self._keeping.cancel()
        else:
            worker.tell(Retire(within_s))
        if not self.first_answer.done():
            self.first_answer.set_result(ENDED)
        done, _ = await asyncio.wait({self._keeping}, timeout=within_s + RETIRE_GRACE_S)
        if not done and worker is not None:
            _logger.error("worker %d is ended: it did not retire in time", worker.pid)
            worker.kill()
            await asyncio.wait({self._keeping})

    async def _keep(self) -> None:
        pool = self._pool
        pause_s = _FIRST_PAUSE_S
        while True:
            began = monotonic()
            try:
                status = await self._run_one()
                why = f"it ended with status {status}"
            except OSError as error:
                why = f"it cannot be started: {error.strerror}"
            if not self.first_answer.done():
                self.first_answer.set_result(why)
            if self._is_leaving:
                return
            pool.restarts += 1
            if monotonic() - began >= _HEALTHY_S:
                pause_s = 0.0
            _logger.error("a worker is replaced in %g s: %s", pause_s, why)
            await pool.wait(pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S) or _FIRST_PAUSE_S

    async def _run_one(self) -> int:
        """Run a worker to its end; returns its exit status.

        Raises:
            OSError: If there can be none.
        """
        pool = self._pool
        worker = self.worker = await pool.start()
        hearing = asyncio.create_task(pool.hear(worker))
        try:
            problem = await pool.tell(worker)
            self.is_ready = not problem
            if problem and problem != ENDED:
                _logger.error("worker %d is ended: it cannot work as told: %s", worker.pid, problem)
                worker.kill()
            if problem != ENDED and not self.first_answer.done():
                self.first_answer.set_result(problem)
            return await hearing
        finally:
            self.is_ready = False
            self.worker = None
            if not hearing.done():
                worker.kill()
                await hearing
