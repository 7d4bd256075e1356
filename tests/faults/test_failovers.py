"""A replica set that loses its primary under load: real nodes, real sockets, real clients.

``BOLIDE_TESTS_PRIMARY_KILLS``, ``..._STEP_DOWNS`` and ``..._FREEZES`` are the numbers of events
(2, 1, 1), ``..._FREEZE_S`` how long a freeze lasts (5), ``..._SUBSCRIBERS`` and
``..._WRITES_PER_S`` the load (40, 40). ``pytest -rP`` shows the longest silence of a client beside
each election.
"""

import asyncio
import os
import random
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import median

import pytest
from tests.faults.cluster import NodeProcess
from tests.replica_set import Member, ReplicaSet, find_mongod

from bolide.client import Client, ConnectionState, connect
from bolide.core.errors import MethodError


def _number(name: str, default: str) -> int:
    return int(os.environ.get(f"BOLIDE_TESTS_{name}", default))


KILLS, STEP_DOWNS = _number("PRIMARY_KILLS", "2"), _number("STEP_DOWNS", "1")
FREEZES, FREEZE_S = _number("FREEZES", "1"), _number("FREEZE_S", "5")
SUBSCRIBERS, WRITES_PER_S = _number("SUBSCRIBERS", "40"), _number("WRITES_PER_S", "40")
WARDS = 20
WRITERS = max(WARDS, WRITES_PER_S // 3)
NODES = 2
TIMEOUT_S = 120 * float(os.environ.get("BOLIDE_TESTS_TIMEOUT_FACTOR", "1"))

pytestmark = pytest.mark.skipif(
    find_mongod() is None and not os.environ.get("CI"), reason="no mongod: set BOLIDE_MONGOD"
)


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

    async def sees_a_change(self) -> None:
        self._news.clear()
        await self._news.wait()

    async def shows(self, expected: list[dict[str, object]]) -> None:
        async for shown in self.client.collection("cells").find().results():
            if shown == expected:
                return


@pytest.fixture
async def stack() -> AsyncGenerator[AsyncExitStack]:
    async with AsyncExitStack() as stack:
        yield stack


def _kill(members: ReplicaSet, primary: Member) -> Callable[[], None]:
    members.kill(primary)
    return lambda: members.run(primary)


def _freeze(members: ReplicaSet, primary: Member) -> Callable[[], None]:
    members.freeze(primary)
    return lambda: members.thaw(primary)


def _step_down(members: ReplicaSet, primary: Member) -> Callable[[], None]:
    members.step_down(10)
    return lambda: None


async def test_every_client_sees_the_truth_after_every_failover(
    stack: AsyncExitStack, tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()
    members = stack.enter_context(await asyncio.to_thread(ReplicaSet))
    wards = [f"w{number}" for number in range(WARDS)]
    database = stack.enter_context(members.client())["ward"]
    await asyncio.to_thread(
        database["cells"].insert_many, [{"_id": ward, "ward": ward, "n": 0} for ward in wards]
    )
    nodes: list[NodeProcess] = []
    for number in range(NODES):
        node = NodeProcess(
            tmp_path / f"node{number}", "cells:app", {"BOLIDE_STORE": members.url("ward")}
        )
        nodes.append(node)
        await node.start()
        stack.push_async_callback(node.kill)
    group = await stack.enter_async_context(asyncio.TaskGroup())
    following: list[asyncio.Task[None]] = []
    stack.callback(lambda: [task.cancel() for task in following])
    subscribers: list[Subscriber] = []
    for number in range(SUBSCRIBERS):
        client = await stack.enter_async_context(connect(nodes[number % NODES].url))
        subscriber = Subscriber(wards[number % WARDS], client)
        await client.subscribe("cells.of", subscriber.ward)
        subscribers.append(subscriber)
        following += [group.create_task(subscriber.follow()), group.create_task(subscriber.watch())]
    writers: list[Writer] = []
    unwritten = {ward: Silence(loop.time()) for ward in wards}
    for number in range(WRITERS):
        client = await stack.enter_async_context(connect(nodes[number % NODES].url))
        ward = wards[number % WARDS]
        writers.append(Writer(ward, unwritten[ward], client, WRITERS / WRITES_PER_S))
    writing = [group.create_task(writer.write()) for writer in writers]

    async def all_see_a_change() -> None:
        async with asyncio.timeout(TIMEOUT_S):
            await asyncio.gather(*(subscriber.sees_a_change() for subscriber in subscribers))

    def silences_s() -> tuple[float, float]:
        """Return the longest without a write to some ward, and without news for a client."""
        written = max(silence.longest_s() for silence in unwritten.values())
        return written, max(subscriber.silence.longest_s() for subscriber in subscribers)

    await all_see_a_change()
    started = loop.time()
    events = [_kill] * KILLS + [_step_down] * STEP_DOWNS + [_freeze] * FREEZES
    random.shuffle(events)
    measured: dict[str, list[tuple[float, float, float]]] = {}
    for hurt in events:
        primary = await asyncio.to_thread(members.primary)
        await all_see_a_change()
        silences_s()
        hurt_at = loop.time()
        heal = await asyncio.to_thread(hurt, members, primary)
        await asyncio.to_thread(members.primary, other_than=primary)
        election_s = loop.time() - hurt_at
        await all_see_a_change()
        measured.setdefault(hurt.__name__[1:], []).append((election_s, *silences_s()))
        if hurt is _freeze:
            await asyncio.sleep(max(0.0, hurt_at + FREEZE_S - loop.time()))
        await asyncio.to_thread(heal)
        await asyncio.to_thread(members.await_secondary, primary)
        await all_see_a_change()
    took_s = loop.time() - started
    for writer in writers:
        writer.stop()
    await asyncio.gather(*writing)

    stored = await asyncio.to_thread(lambda: list(database["cells"].find()))
    found = {one["_id"]: one for one in stored}
    for ward in wards:
        here = [writer for writer in writers if writer.ward == ward]
        told, unknown = sum(one.acknowledged for one in here), sum(one.unknown for one in here)
        assert told <= found[ward]["n"] <= told + unknown
    async with asyncio.timeout(TIMEOUT_S):
        await asyncio.gather(*(one.shows([found[one.ward]]) for one in subscribers))
    assert [one.interruptions for one in subscribers] == [0] * SUBSCRIBERS
    for node in nodes:
        assert "history lost" not in node.output
    acknowledged = sum(writer.acknowledged for writer in writers)
    print(
        f"{acknowledged} writes acknowledged ({acknowledged / took_s:.0f}/s), none lost;"
        f" {sum(one.unknown for one in writers)} unknown,"
        f" {sum(one.refused for one in writers)} not done; {SUBSCRIBERS} subscribers"
    )
    for name, each in measured.items():
        elections, unwritten_s, silent_s = zip(*each, strict=True)
        print(
            f"{name} x {len(each)}, median and longest: election {_in_words(elections)}; no write"
            f" to some ward acknowledged {_in_words(unwritten_s)}; a client without news"
            f" {_in_words(silent_s)}; each: "
            + ", ".join(" ".join(f"{seconds:.1f}" for seconds in one) for one in each)
        )


def _in_words(seconds: Sequence[float]) -> str:
    return f"{median(seconds):.1f} and {max(seconds):.1f} s"
