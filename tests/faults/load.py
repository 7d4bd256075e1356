"""The load of the failover tests: writers that count cells up, and subscribers that see it.

Real nodes, real sockets, real clients. ``BOLIDE_TESTS_SUBSCRIBERS`` and ``..._WRITES_PER_S`` (40,
40) are how much there is of it, over ``BOLIDE_TESTS_WARDS`` (20) wards.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from statistics import median
from typing import Any

from tests.faults.cluster import NodeProcess
from tests.replica_set import ReplicaSet

from bolide.client import Client, ConnectionState, connect
from bolide.core.errors import MethodError

__all__ = ["TIMEOUT_S", "Load", "Measured", "loaded", "number"]


def number(name: str, default: str) -> int:
    """Return how much of something the environment asks for."""
    return int(os.environ.get(f"BOLIDE_TESTS_{name}", default))


SUBSCRIBERS, WRITES_PER_S = number("SUBSCRIBERS", "40"), number("WRITES_PER_S", "40")
WARDS = number("WARDS", "20")
WRITERS = max(WARDS, WRITES_PER_S // 3)
NODES = 2
TIMEOUT_S = 120 * float(os.environ.get("BOLIDE_TESTS_TIMEOUT_FACTOR", "1"))


class Silence:
    """The longest time in which something did not happen.

    Args:
        now: When it happened last.
    """

    def __init__(self, now: float) -> None:
        self._longest_s = 0.0
        self._last = now

    def end(self, now: float) -> None:
        """Note that it happened."""
        self._longest_s = max(self._longest_s, now - self._last)
        self._last = now

    def longest_s(self) -> float:
        """Return it, and begin anew."""
        longest_s, self._longest_s = self._longest_s, 0.0
        return longest_s


class Writer:
    """Counts up the cell of one ward.

    Attributes:
        acknowledged: How many calls were answered without an error.
        unknown: How many ended in an outcome that nobody knows.
        refused: How many were certainly not done.
    """

    def __init__(self, ward: str, silence: Silence, client: Client, period_s: float) -> None:
        self.ward = ward
        self._silence = silence
        self.acknowledged = self.unknown = self.refused = 0
        self._client = client
        self._period_s = period_s
        self._stopping = asyncio.Event()

    def stop(self) -> None:
        self._stopping.set()

    async def write(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while not self._stopping.is_set():
            try:
                await self._client.call("count", self.ward, retry=False)
            except MethodError as error:
                if error.error == "write-outcome-unknown":
                    self.unknown += 1
                else:
                    self.refused += 1
            else:
                self.acknowledged += 1
                self._silence.end(loop.time())
            # This is the load, not a wait for something.
            due = max(due + self._period_s, loop.time())
            await asyncio.sleep(due - loop.time())


class Subscriber:
    """Follows one ward, and notes the longest time in which nothing changed."""

    def __init__(self, ward: str, client: Client) -> None:
        self.ward = ward
        self.client = client
        self.interruptions = 0
        self.silence = Silence(asyncio.get_running_loop().time())
        self._news = asyncio.Event()

    async def follow(self) -> None:
        loop = asyncio.get_running_loop()
        async for _ in self.client.collection("cells").find().results():
            self.silence.end(loop.time())
            self._news.set()

    async def watch(self) -> None:
        async for status in self.client.statuses():
            self.interruptions += status.state is not ConnectionState.CONNECTED

    async def is_late(self, because: str) -> None:
        async for status in self.client.statuses():
            if status.late_because == because:
                return

    async def sees_a_change(self) -> None:
        self._news.clear()
        await self._news.wait()

    async def shows(self, expected: list[dict[str, object]]) -> None:
        async for shown in self.client.collection("cells").find().results():
            if shown == expected:
                return


class Load:
    """Writers and subscribers on some nodes of one replica set.

    Attributes:
        nodes: The nodes.
    """

    def __init__(self, members: ReplicaSet, nodes: list[NodeProcess]) -> None:
        self.nodes = nodes
        self._members = members
        self._wards = [f"w{number}" for number in range(WARDS)]
        now = asyncio.get_running_loop().time()
        self._started = now
        self._unwritten = {ward: Silence(now) for ward in self._wards}
        self._subscribers: list[Subscriber] = []
        self._writers: list[Writer] = []

    async def begin(self, stack: AsyncExitStack) -> None:
        """Subscribe, and let the writers write until the stack is closed."""
        documents = [{"_id": ward, "ward": ward, "n": 0} for ward in self._wards]
        with self._members.client() as database:
            await asyncio.to_thread(database["ward"]["cells"].insert_many, documents)
        group = await stack.enter_async_context(asyncio.TaskGroup())
        following: list[asyncio.Task[None]] = []
        for number in range(SUBSCRIBERS):
            client = await stack.enter_async_context(connect(self.nodes[number % NODES].url))
            subscriber = Subscriber(self._wards[number % WARDS], client)
            await client.subscribe("cells.of", subscriber.ward)
            self._subscribers.append(subscriber)
            following.append(group.create_task(subscriber.follow()))
            following.append(group.create_task(subscriber.watch()))
        for number in range(WRITERS):
            client = await stack.enter_async_context(connect(self.nodes[number % NODES].url))
            ward = self._wards[number % WARDS]
            writer = Writer(ward, self._unwritten[ward], client, WRITERS / WRITES_PER_S)
            self._writers.append(writer)
        self._writing = [group.create_task(writer.write()) for writer in self._writers]
        stack.callback(lambda: [task.cancel() for task in (*following, *self._writing)])
        await self.all_see_a_change()
        self._started = asyncio.get_running_loop().time()

    async def all_are_late(self, because: str) -> None:
        """Wait until every subscriber was told why it sees nothing new."""
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.gather(*(one.is_late(because) for one in self._subscribers))

    async def all_see_a_change(self) -> None:
        """Wait until every subscriber has news."""
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.gather(*(one.sees_a_change() for one in self._subscribers))

    def silences_s(self) -> tuple[float, float]:
        """Return the longest without a write to some ward, and without news for a client."""
        written = max(silence.longest_s() for silence in self._unwritten.values())
        return written, max(subscriber.silence.longest_s() for subscriber in self._subscribers)

    async def end(self) -> None:
        """Stop writing; nothing acknowledged is lost, every view is right, no session was closed.

        Prints what became of the writes.
        """
        took_s = asyncio.get_running_loop().time() - self._started
        for writer in self._writers:
            writer.stop()
        await asyncio.gather(*self._writing)
        found = await asyncio.to_thread(self._stored)
        for ward in self._wards:
            here = [writer for writer in self._writers if writer.ward == ward]
            told, unknown = sum(one.acknowledged for one in here), sum(one.unknown for one in here)
            assert told <= found[ward]["n"] <= told + unknown
            assert "lost" not in found[ward]  # a member that was alone wrote it
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.gather(*(one.shows([found[one.ward]]) for one in self._subscribers))
        assert [one.interruptions for one in self._subscribers] == [0] * SUBSCRIBERS
        for node in self.nodes:
            assert "history lost" not in node.output
        acknowledged = sum(writer.acknowledged for writer in self._writers)
        print(
            f"{acknowledged} writes acknowledged ({acknowledged / took_s:.0f}/s), none lost;"
            f" {sum(one.unknown for one in self._writers)} unknown,"
            f" {sum(one.refused for one in self._writers)} not done; {SUBSCRIBERS} subscribers"
        )

    def _stored(self) -> dict[str, dict[str, Any]]:
        with self._members.client() as client:
            return {one["_id"]: one for one in client["ward"]["cells"].find()}


class Measured:
    """How long what happened was noticed, by what it was."""

    def __init__(self) -> None:
        self._events: dict[str, list[tuple[float, ...]]] = {}

    def add(self, event: str, election_s: float, silences_s: tuple[float, float]) -> None:
        """Note one event."""
        self._events.setdefault(event, []).append((election_s, *silences_s))

    def print(self) -> None:
        """Show all, for ``pytest -rP``."""
        for event, each in self._events.items():
            elections, unwritten_s, silent_s = zip(*each, strict=True)
            print(
                f"{event} x {len(each)}, median and longest: election {_in_words(elections)}; no"
                f" write to some ward acknowledged {_in_words(unwritten_s)}; a client without news"
                f" {_in_words(silent_s)}; each: "
                + ", ".join(" ".join(f"{seconds:.1f}" for seconds in one) for one in each)
            )


@asynccontextmanager
async def loaded(members: ReplicaSet, folder: Path) -> AsyncGenerator[Load]:
    """Put load on a replica set, with nodes that run in a folder."""
    async with AsyncExitStack() as stack:
        environment = {
            "BOLIDE_STORE": members.url("ward"),
            "BOLIDE_INSECURE_STORE": "true",
            "BOLIDE_MANAGEMENT_PORT": "0",
        }
        nodes: list[NodeProcess] = []
        for number in range(NODES):
            node = NodeProcess(folder / f"node{number}", "cells:app", environment)
            nodes.append(node)
            await node.start()
            stack.push_async_callback(node.kill)
        load = Load(members, nodes)
        await load.begin(stack)
        yield load


def _in_words(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.1f} and {max(seconds):.1f} s"
