"""The crowds as a test sees them: where everybody is, and what happened to whom."""

import asyncio
import os
import sys
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from tests.faults.balanced.messages import Answer, Calls, Happened, Order, Plan

__all__ = ["TIMEOUT_S", "Crowds", "Seat"]

TIMEOUT_S = 120 * float(os.environ.get("BOLIDE_TESTS_TIMEOUT_FACTOR", "1"))
_CROWD = Path(__file__).with_name("crowd.py")
_decoder: msgspec.json.Decoder[Answer | Happened] = msgspec.json.Decoder(Answer | Happened)


@dataclass
class Seat:
    """Where a person is.

    Attributes:
        node: That of its last session.
        sessions: Each: when it began, and at which node.
        losses: When it was without a connection, and why.
        returns: When it was shown what is so again.
        failures: Errors of calls, and when.
    """

    node: str = ""
    sessions: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    losses: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])
    returns: list[float] = field(default_factory=list[float])
    failures: list[tuple[float, str]] = field(default_factory=list[tuple[float, str]])

    @property
    def is_away(self) -> bool:
        """Whether it has no connection, or is not shown yet what is so."""
        return len(self.returns) < len(self.losses)

    def take(self, happened: Happened) -> None:
        """Note what happened."""
        match happened.what:
            case "session":
                self.node = happened.detail
                self.sessions.append((happened.at, happened.detail))
            case "lost":
                self.losses.append((happened.at, happened.detail))
            case "back":
                self.returns.append(happened.at)
            case _:
                self.failures.append((happened.at, happened.detail))


class _Process:
    """One crowd."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.answers: asyncio.Queue[Answer] = asyncio.Queue()

    def say(self, message: Plan | Order) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(msgspec.json.encode(message) + b"\n")

    async def answer(self) -> Answer:
        async with asyncio.timeout(TIMEOUT_S):
            return await self.answers.get()


class Crowds:
    """All crowds.

    Attributes:
        seats: Name of a person -> where it is.
    """

    def __init__(self) -> None:
        self.seats: dict[str, Seat] = {}
        self._processes: list[_Process] = []
        self._news = asyncio.Event()
        self._messages = 0

    @asynccontextmanager
    async def arrived(self, plans: Sequence[Plan]) -> AsyncGenerator[None]:
        """Be there for the time of the block."""
        for plan in plans:
            self.seats |= {name: Seat() for name in plan.wards}
        async with asyncio.TaskGroup() as group:
            for plan in plans:
                process = await asyncio.create_subprocess_exec(
                    *(sys.executable, str(_CROWD)),
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                )
                crowd = _Process(process)
                self._processes.append(crowd)
                group.create_task(self._listen(crowd))
                crowd.say(plan)
            try:
                for crowd in self._processes:
                    await crowd.answer()
                yield
            finally:
                for crowd in self._processes:
                    assert crowd.process.stdin is not None
                    crowd.process.stdin.close()

    async def call(self) -> None:
        """Let everybody begin to call."""
        await self._order(Order("call"))

    async def count(self) -> tuple[int, float]:
        """Return how many messages there were, and the longest that a call took since then."""
        return _sum(await self._order(Order("count")))

    async def stop(self) -> Mapping[str, Calls]:
        """Let everybody make an end; returns what each called."""
        calls: dict[str, Calls] = {}
        for answer in await self._order(Order("stop")):
            calls |= answer.calls
        return calls

    async def show(self, cells: Mapping[str, int]) -> None:
        """Wait until everybody is shown this."""
        await self._order(Order("show", dict(cells)))

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait for what happens to persons."""
        async with asyncio.timeout(TIMEOUT_S):
            while not is_so():
                self._news.clear()
                await self._news.wait()

    async def _order(self, order: Order) -> list[Answer]:
        for crowd in self._processes:
            crowd.say(order)
        return [await crowd.answer() for crowd in self._processes]

    async def _listen(self, crowd: _Process) -> None:
        assert crowd.process.stdout is not None
        try:
            async for line in crowd.process.stdout:
                match _decoder.decode(line):
                    case Happened() as happened:
                        self.seats[happened.name].take(happened)
                        self._news.set()
                    case Answer() as answer:
                        crowd.answers.put_nowait(answer)
        except asyncio.CancelledError:
            crowd.process.kill()
            raise
        finally:
            status = await crowd.process.wait()
        assert status == 0


def _sum(answers: Sequence[Answer]) -> tuple[int, float]:
    return sum(one.messages for one in answers), max(one.slowest_s for one in answers)
