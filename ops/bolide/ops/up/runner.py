"""Run processes until they are told to end: one that dies is started again.

Before all of them work, one that ends ends all: it would end again. After that it is started anew
after a pause, twice as long each time, until it has lasted a while.
"""

import asyncio
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import ClassVar, Final

from bolide.core.errors import BolideError
from bolide.ops.up.output import Output
from bolide.ops.up.process import Process
from bolide.ops.up.procfile import Line

__all__ = ["OWN_NAME", "EndedTooSoon", "Runner"]

OWN_NAME: Final = "up"
"""Whose lines they are that tell of processes."""
_FIRST_PAUSE_S: Final = 0.5
_LONGEST_PAUSE_S: Final = 30.0
_GOOD_AFTER_S: Final = 30.0
"""A process that lasted so long begins with the first pause again."""
_GRACE_S: Final = 20.0
"""How long processes may take to end."""


class EndedTooSoon(BolideError):
    """A process ended before all of them worked."""

    code: ClassVar[str] = "ended-too-soon"

    def __init__(self, name: str, status: int) -> None:
        """Keep which one.

        Args:
            name: Of the process.
            status: Its exit status; negative: the signal that ended it.
        """
        super().__init__(name, status)
        self.name = name
        self.status = status

    def __str__(self) -> str:
        """Say which one and how."""
        how = _ending(self.status)
        return f"{self.name} {how} before everything worked; what it said is above."


class Runner:
    """Runs processes.

    Args:
        lines: Which; started in this order.
        environment: Of all of them.
        output: Takes what they say.
        hurried: Is set when those that are asked to end are to be ended at once.
        first_pause_s: Before a process is started again for the first time, seconds.
        grace_s: How long they may take to end, seconds.

    Attributes:
        restarts: Name of a process -> how often it was started again.
    """

    def __init__(
        self,
        lines: Sequence[Line],
        environment: Mapping[str, str],
        output: Output,
        *,
        hurried: asyncio.Event | None = None,
        first_pause_s: float = _FIRST_PAUSE_S,
        grace_s: float = _GRACE_S,
    ) -> None:
        """Start nothing yet."""
        self.restarts = {line.name: 0 for line in lines}
        self._lines = lines
        self._environment = environment
        self._output = output
        self._hurried = hurried or asyncio.Event()
        self._first_pause_s = first_pause_s
        self._grace_s = grace_s
        self._running: dict[str, Process] = {}
        self._is_settled = False
        self._is_ending = asyncio.Event()

    def settle(self) -> None:
        """Know that all work: from now on one that ends is started again."""
        self._is_settled = True

    def pid(self, name: str) -> int | None:
        """Return the number of a process; None while it does not run."""
        process = self._running.get(name)
        return None if process is None else process.pid

    def pids(self, names: Sequence[str]) -> str:
        """Write which processes are which, for people."""
        return ", ".join(f"{name} is process {self.pid(name)}" for name in names)

    async def run(self) -> None:
        """Run all until :meth:`end`, or until cancelled.

        Raises:
            EndedTooSoon: If one ends before all work; the others have ended then, too.
        """
        keeping = [asyncio.create_task(self._keep(line)) for line in self._lines]
        ending = asyncio.create_task(self._is_ending.wait())
        try:
            await asyncio.wait((*keeping, ending), return_when=asyncio.FIRST_COMPLETED)
        finally:
            ending.cancel()
            self.end()
            await self._end_all(keeping)
        for task in keeping:
            task.result()

    def end(self) -> None:
        """Ask all to end."""
        self._is_ending.set()
        self._signal(signal.SIGTERM)

    def _signal(self, number: signal.Signals) -> None:
        for process in self._running.values():
            process.signal(number)

    async def _end_all(self, keeping: Sequence[asyncio.Task[None]]) -> None:
        ending = asyncio.gather(*keeping, return_exceptions=True)
        hurrying = asyncio.create_task(self._hurried.wait())
        await asyncio.wait(
            (ending, hurrying), timeout=self._grace_s, return_when=asyncio.FIRST_COMPLETED
        )
        hurrying.cancel()
        if not ending.done():
            names = ", ".join(sorted(self._running))
            self._output.say(OWN_NAME, f"{names} did not end in time: killed")
            self._signal(signal.SIGKILL)
            await ending

    async def _keep(self, line: Line) -> None:
        pause_s = self._first_pause_s
        loop = asyncio.get_running_loop()
        while not self._is_ending.is_set():
            began = loop.time()
            process = await Process.start(line, self._environment, self._output)
            self._running[line.name] = process
            if self._is_settled:
                self._output.say(OWN_NAME, f"{line.name} is process {process.pid} now")
            if self._is_ending.is_set():
                process.signal(signal.SIGTERM)
            status = await process.wait()
            del self._running[line.name]
            if self._is_ending.is_set():
                return
            if not self._is_settled:
                raise EndedTooSoon(line.name, status)
            if loop.time() - began >= _GOOD_AFTER_S:
                pause_s = self._first_pause_s
            self._output.say(
                OWN_NAME, f"{line.name} {_ending(status)}; it is started again in {pause_s:g} s"
            )
            with suppress(TimeoutError):
                await asyncio.wait_for(self._is_ending.wait(), pause_s)
            pause_s = min(2 * pause_s, _LONGEST_PAUSE_S)
            self.restarts[line.name] += 1


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    with suppress(ValueError):
        return f"was ended by {signal.Signals(-status).name}"
    return f"was ended by signal {-status}"
