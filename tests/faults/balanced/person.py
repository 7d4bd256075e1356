"""A person with an SDK client: follows a ward, writes and asks, and tells what becomes of it."""

import asyncio
import random
import ssl
import time
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from bolide.client import ConnectionState, OpenedConnection, connect
from bolide.core.errors import MethodError

__all__ = ["Person", "Rates"]

_MESSAGES_OF_A_CALL = 3  # the call, its result, and that its data have come


@dataclass(frozen=True)
class Rates:
    """How often a person calls.

    Attributes:
        run_s: Time between two calls that write.
        ask_s: Time between two that do not.
    """

    run_s: float
    ask_s: float


class Person:
    """One client.

    Args:
        name: Its own.
        ward: What it looks at.
        tell: Takes ``session`` and its node, ``lost``, ``back``, or ``failed`` and the error, with
            a time that is that of all processes of the machine.

    Attributes:
        changes: How many it was shown.
        answered: How many calls were answered, whatever with.
        called: How many that write were made; their numbers begin with 1.
        unknown: Numbers of those whose outcome nobody told.
        slowest_s: The longest that an answer took.
    """

    def __init__(self, name: str, ward: str, tell: Callable[[str, str, str, float], None]) -> None:
        self.name = name
        self.ward = ward
        self.changes = self.answered = self.called = 0
        self.unknown: list[int] = []
        self.slowest_s = 0.0
        self._tell = tell
        self._is_away = False
        self._stopping = asyncio.Event()
        self._calling: list[asyncio.Task[None]] = []

    @property
    def messages(self) -> int:
        """How many were sent and received."""
        return self.changes + _MESSAGES_OF_A_CALL * self.answered

    @asynccontextmanager
    async def connected(self, url: str, context: ssl.SSLContext) -> AsyncGenerator[None]:
        """Be there for the time of the block."""
        async with (
            connect(url, ssl=context, on_connect=self._arrive) as self._client,
            asyncio.TaskGroup() as group,
        ):
            await self._client.subscribe("cells.of", self.ward)
            following = [group.create_task(self._follow()), group.create_task(self._watch())]
            yield
            for task in following:
                task.cancel()

    async def call(self, rates: Rates) -> None:
        """Call until :meth:`stop`; returns when the last call was answered."""
        await asyncio.gather(
            self._repeat(self._run, rates.run_s), self._repeat(self._ask, rates.ask_s)
        )

    def stop(self) -> None:
        """Begin no other call."""
        self._stopping.set()

    async def shows(self, count: int) -> None:
        """Wait until the ward's cell is shown with this number."""
        async for cells in self._client.collection("cells").find().results():
            if [cell["n"] for cell in cells] == [count]:
                return

    async def _arrive(self, connection: OpenedConnection) -> None:
        node = await connection.call("where")
        self._say("session", node)

    async def _follow(self) -> None:
        async for _ in self._client.collection("cells").find().changes():
            self.changes += 1

    async def _watch(self) -> None:
        async for status in self._client.statuses():
            is_there = status.state is ConnectionState.CONNECTED
            if not is_there and not self._is_away:
                self._is_away = True
                self._say("lost", status.reason or "")
            elif is_there and self._is_away and not status.catching_up:
                self._is_away = False
                self._say("back", "")

    async def _repeat(self, call: Callable[[], Awaitable[None]], period_s: float) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time() + random.random() * period_s
        while True:
            # This is the load, not a wait for something.
            try:
                async with asyncio.timeout_at(due):
                    await self._stopping.wait()
                return
            except TimeoutError:
                pass
            began = loop.time()
            await call()
            self.answered += 1
            self.slowest_s = max(self.slowest_s, loop.time() - began)
            due = max(due + period_s, loop.time())

    async def _run(self) -> None:
        self.called += 1
        number = self.called
        try:
            answer = await self._client.call("run", self.name, self.ward, number)
        except MethodError as error:
            self.unknown.append(number)
            self._say("failed", str(error.error))
        else:
            assert answer == number

    async def _ask(self) -> None:
        try:
            await self._client.call("where")
        except MethodError as error:
            self._say("failed", str(error.error))

    def _say(self, what: str, detail: str) -> None:
        self._tell(self.name, what, detail, time.monotonic())
