"""Many persons in a process of their own, told what to do by lines of standard input."""

import asyncio
import ssl
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

import msgspec
from tests.faults.balanced.messages import Answer, Calls, Happened, Order, Plan
from tests.faults.balanced.person import Person, Rates

_ARRIVE_AT_ONCE = 20


class Crowd:
    """All persons of this process."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._rates = Rates(plan.run_s, plan.ask_s)
        self._context = ssl.create_default_context(cafile=plan.ca)
        self._persons = [Person(name, ward, _tell) for name, ward in plan.wards.items()]
        self._entrance = asyncio.Semaphore(_ARRIVE_AT_ONCE)
        self._is_over = asyncio.Event()
        self._calling: list[asyncio.Task[None]] = []

    @asynccontextmanager
    async def arrived(self) -> AsyncGenerator[None]:
        """Have all connected for the time of the block."""
        async with asyncio.TaskGroup() as group:
            there = [asyncio.Event() for _ in self._persons]
            for person, is_there in zip(self._persons, there, strict=True):
                group.create_task(self._stay(person, is_there))
            for is_there in there:
                await is_there.wait()
            yield
            for task in self._calling:
                task.cancel()
            self._is_over.set()

    async def do(self, order: Order) -> Answer:
        """Carry out an order."""
        calls: dict[str, Calls] = {}
        match order.do:
            case "call":
                self._calling = [
                    asyncio.create_task(person.call(self._rates)) for person in self._persons
                ]
            case "stop":
                for person in self._persons:
                    person.stop()
                await asyncio.gather(*self._calling)
                calls = {one.name: Calls(one.called, one.unknown) for one in self._persons}
            case "show":
                await asyncio.gather(*(one.shows(order.cells[one.ward]) for one in self._persons))
            case _:
                pass
        slowest_s = max(person.slowest_s for person in self._persons)
        for person in self._persons:
            person.slowest_s = 0.0
        return Answer(sum(person.messages for person in self._persons), slowest_s, calls)

    async def _stay(self, person: Person, is_there: asyncio.Event) -> None:
        async with AsyncExitStack() as stack:
            async with self._entrance:
                await stack.enter_async_context(person.connected(self._plan.url, self._context))
            is_there.set()
            await self._is_over.wait()


def _tell(name: str, what: str, detail: str, at: float) -> None:
    _say(Happened(name, what, detail, at))


def _say(message: Answer | Happened) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(message) + b"\n")
    sys.stdout.buffer.flush()


async def main() -> None:
    """Do as told until standard input ends."""
    reader = asyncio.StreamReader(limit=2**24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    crowd = Crowd(msgspec.json.decode(await reader.readline(), type=Plan))
    async with crowd.arrived():
        _say(Answer(0, 0.0))
        async for line in reader:
            _say(await crowd.do(msgspec.json.decode(line, type=Order)))


if __name__ == "__main__":
    asyncio.run(main())
