"""All workers: so many run, one that ends is replaced, and what they counted is one sum."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import msgspec

from bolide.balancer.supervisor.worker_place import WorkerPlace
from bolide.balancer.supervisor.worker_process import ENDED, WorkerProcess
from bolide.balancer.worker.messages import Configure, ListenerKind, Noticed, View

__all__ = ["CONFIGURE_TIMEOUT_S", "SEE_TIMEOUT_S", "WorkerPool", "WorkerRow"]

CONFIGURE_TIMEOUT_S: Final = 20.0
"""How long a worker may take to say that it works as told; then it is replaced."""

SEE_TIMEOUT_S: Final = 5.0
"""How long workers may take to go by a view."""

_LATE: Final = "it does not say that it works as told"
# Sums stay when a worker ends; all else is about what there is now.
_SUMS: Final = ("_total", "_bucket", "_sum", "_count")

_logger = logging.getLogger("bolide.balancer")


class WorkerRow(msgspec.Struct, frozen=True, kw_only=True):
    """One worker, for people and programs that watch.

    Attributes:
        pid: Of the process.
        is_ready: It works as told, and accepts.
        connections: Of clients, now.
        tunnels: WebSockets, now.
        accepted: Connections of clients since it began.
    """

    pid: int
    is_ready: bool
    connections: int
    tunnels: int
    accepted: int


class WorkerPool:
    """Starts workers, and keeps as many.

    Args:
        command: Program of a worker and its arguments; the number of the pair is added.
        environment: Of a worker.
        listeners: Number of a listening socket -> kind.
        on_noticed: Takes what workers notice of nodes.
        wait: Lets time pass, seconds.
        configure_timeout_s: How long a worker may take to work as told.

    Attributes:
        restarts: How many workers ended that should not have.
        wait: Lets time pass.
    """

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        listeners: Mapping[int, ListenerKind],
        on_noticed: Callable[[Noticed], None],
        *,
        wait: Callable[[float], Awaitable[None]] = asyncio.sleep,
        configure_timeout_s: float = CONFIGURE_TIMEOUT_S,
    ) -> None:
        """Begin without workers."""
        self.restarts = 0
        self._command = command
        self._environment = environment
        self._listeners = listeners
        self._on_noticed = on_noticed
        self.wait = wait
        self._configure_timeout_s = configure_timeout_s
        self._configuration: Configure | None = None
        self._view: View | None = None
        self._version = 0
        self._places: list[WorkerPlace] = []
        self._leaving: set[asyncio.Task[None]] = set()
        self._running: set[WorkerProcess] = set()
        self._ended: dict[str, float] = {}

    @property
    def ready_count(self) -> int:
        """How many workers work as told."""
        return sum(place.is_ready for place in self._places)

    @property
    def pids(self) -> list[int]:
        """Numbers of the processes, those that are ending included."""
        return [worker.pid for worker in self._running]

    def rows(self) -> list[WorkerRow]:
        """Return all workers, those that are ending included."""
        ready = {place.worker.pid for place in self._places if place.worker and place.is_ready}
        found: list[WorkerRow] = []
        for worker in sorted(self._running, key=lambda one: one.pid):
            counts = worker.counted.counts
            found.append(
                WorkerRow(
                    pid=worker.pid,
                    is_ready=worker.pid in ready,
                    connections=int(counts.get("connections_open", 0)),
                    tunnels=int(counts.get("tunnels_open", 0)),
                    accepted=int(counts.get("connections_total", 0)),
                )
            )
        return found

    async def configure(self, configuration: Configure, count: int, within_s: float) -> list[str]:
        """Let all work in a way, and so many.

        Args:
            configuration: Its version does not count.
            count: Of workers.
            within_s: How long connections of those that are too many may last.

        Returns:
            Why workers cannot. If there is a reason, all go on as they did; at first there are
            none then.
        """
        before, had = self._configuration, len(self._places)
        problems = await self._tell_all(configuration)
        if not problems:
            self._places += (WorkerPlace(self) for _ in range(count - had))
            first = await asyncio.gather(*(place.first_answer for place in self._places[had:]))
            problems = [problem for problem in first if problem]
        if not problems:
            self._let_go(count, within_s)
            return []
        self._let_go(had, 0.0)
        if before is not None:
            await self._tell_all(before)
        return problems

    def see(self, view: View) -> None:
        """Tell all what to decide by."""
        self._view = view
        for worker in self._running:
            worker.tell(view)

    async def all_see(self) -> None:
        """Wait until all go by the view that they were told last.

        Raises:
            TimeoutError: If one does not in time.
        """
        if self._view is not None:
            version = self._view.version
            async with asyncio.timeout(SEE_TIMEOUT_S):
                await asyncio.gather(*(worker.sees(version) for worker in self._running))

    async def retire(self, within_s: float) -> None:
        """Let all end with their last connection, and wait for it.

        Args:
            within_s: When connections that are left are cut.
        """
        self._let_go(0, within_s)
        if self._leaving:
            await asyncio.wait(self._leaving)

    def kill(self) -> None:
        """End all at once."""
        for worker in self._running:
            worker.kill()

    def counts(self) -> dict[str, float]:
        """Return the sum of what all workers counted, those that ended included."""
        total = dict(self._ended)
        for worker in self._running:
            for name, number in worker.counted.counts.items():
                total[name] = total.get(name, 0.0) + number
        return total

    def open_by_node(self) -> dict[str, int]:
        """Return how many connections there are: name of a node -> number."""
        total: Counter[str] = Counter()
        for worker in self._running:
            total.update(worker.counted.open_by_node)
        return dict(total)

    async def _tell_all(self, configuration: Configure) -> list[str]:
        """Tell those that run how to work; returns why some do not."""
        self._version += 1
        self._configuration = msgspec.structs.replace(configuration, version=self._version)
        running = [place.worker for place in self._places if place.worker is not None]
        answers = await asyncio.gather(*map(self.tell, running))
        # One that ended is replaced by one that hears the new configuration first.
        return [answer for answer in answers if answer and answer != ENDED]

    def _let_go(self, count: int, within_s: float) -> None:
        """Keep so many, and let the others end with their last connection."""
        leaving, self._places = self._places[count:], self._places[:count]
        for place in leaving:
            task = asyncio.create_task(place.leave(within_s))
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    # For its places

    async def start(self) -> WorkerProcess:
        """Start a worker that knows the view, and is not told yet how to work.

        Raises:
            OSError: If there can be none.
        """
        worker = await WorkerProcess.start(self._command, self._environment, self._listeners)
        self._running.add(worker)
        if self._view is not None:
            worker.tell(self._view)
        return worker

    async def hear(self, worker: WorkerProcess) -> int:
        """Take what a worker says until it has ended; returns its exit status."""
        try:
            async for noticed in worker.noticed():
                self._on_noticed(noticed)
        except Exception:  # a mistake of ours costs this worker, and not its place
            _logger.exception("worker %d is ended, because it cannot be heard", worker.pid)
            worker.kill()
        status = await worker.wait()
        self._running.discard(worker)
        for name, number in worker.counted.counts.items():
            if name.partition("{")[0].endswith(_SUMS):
                self._ended[name] = self._ended.get(name, 0.0) + number
        return status

    async def tell(self, worker: WorkerProcess) -> str:
        """Tell one how to work as all do; returns why it does not. It is ended if it is silent."""
        assert self._configuration is not None
        try:
            async with asyncio.timeout(self._configure_timeout_s):
                return await worker.configure(self._configuration)
        except TimeoutError:
            _logger.error("worker %d is ended: %s", worker.pid, _LATE)
            worker.kill()
            return ENDED
