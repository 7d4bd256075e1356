"""What a change costs a node on MongoDB, and when a client sees it, beside a bare ``watch()`` loop.

A replica set of one member on this machine; half of the writes are inserts, half are updates of
documents of 12 fields. Every follower is a process of its own, begins where the others began, and
gets the same writes: those of a backlog, or new ones at a steady rate. Rounds are interleaved, and
ratios are taken within a round. Run it with ``python -m bench.mongodb --rounds 9 [ROW ...]``.
"""

import asyncio
import json
import os
import random
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import monotonic
from typing import Annotated, Any, Final

import typer
from pymongo import AsyncMongoClient, InsertOne, UpdateOne
from tests.replica_set import ReplicaSet

from bench.figures.results import RowResult
from bench.live_queries import document
from bench.mongodb_followers import BATCH, COLLECTION, LAST, PIPELINE, PROFILED
from bench.rig.lock import only_bench
from bench.rig.material import PROJECT

BACKLOG: Final = 20_000
QUERIES: Final = 100
MANY_QUERIES: Final = 10_000
SLOW_RATE, FAST_RATE = 50, 2000
SECONDS: Final = 8
SHOWN: Final = 15

# Numbers, and a profile.
Figures = Mapping[str, Any]


class Writer:
    """Writes into one database."""

    def __init__(self, client: AsyncMongoClient[dict[str, Any]], name: str) -> None:
        """Begin with an empty one."""
        self._beds = client[name][COLLECTION]
        self._random = random.Random(1)
        self._count = 0

    async def token(self) -> Any:
        """Return where a stream would begin now."""
        async with await self._beds.database.watch(PIPELINE) as stream:
            await stream.try_next()
            return stream.resume_token

    async def write(self, count: int) -> None:
        """Make so many changes with one command for each kind of them."""
        await self._beds.bulk_write([self._next() for _ in range(count)], ordered=False)

    async def write_at(self, rate: int, count: int) -> None:
        """Make so many changes at a steady rate: one by one, or some at once each 10 ms."""
        at_once = max(1, rate // 100)
        began = monotonic()
        for number in range(0, count, at_once):
            await asyncio.sleep(max(0.0, began + number / rate - monotonic()))
            await self.write(at_once)

    async def make_indexes(self) -> None:
        """Let ten thousand queries be read without going through all documents each time."""
        for path in ("ward", "patient", "score"):
            await self._beds.create_index(path)

    async def end(self) -> None:
        """Insert the last document."""
        await self._beds.insert_one({**document(0), "_id": LAST, "at": monotonic()})

    def _next(self) -> InsertOne[dict[str, Any]] | UpdateOne:
        self._count += 1
        at = monotonic()
        if self._count % 2:
            new = document(self._count)
            return InsertOne({**new, "_id": f"d{self._count}", "at": at})
        id = f"d{self._random.randrange(1, self._count, 2)}"
        return UpdateOne({"_id": id}, {"$set": {"pulse": self._count, "at": at}})


@dataclass(frozen=True, slots=True)
class Follower:
    """A process that follows, see ``bench/mongodb_followers.py``."""

    name: str
    kind: str
    number: int

    async def follow(
        self, url: str, count: int, token: Any, write: Callable[[], Awaitable[None]]
    ) -> Figures:
        """Start it, write, and return its figures."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bench.mongodb_followers", self.kind, url, str(count),
            json.dumps(token), str(self.number),
            cwd=PROJECT, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            while (await process.stdout.readline()) != b"ready\n":
                assert process.returncode is None, f"{self.name} did not start"
            await write()
            return dict(json.loads(await process.stdout.readline()))
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


WATCH = Follower("watch", "watch", BATCH)
BARE = Follower("watch, default batches", "watch", 0)
NODE = Follower("node", "route", QUERIES)
MANY = Follower("node, 10,000 queries", "route", -MANY_QUERIES)
CLIENT = Follower("client", "show", 0)


class Bench:
    """One replica set, and what is measured with it."""

    def __init__(self, members: ReplicaSet, client: AsyncMongoClient[dict[str, Any]]) -> None:
        """Measure nothing yet."""
        self._members = members
        self._client = client
        self._databases = 0

    async def backlog(self, followers: Sequence[Follower]) -> dict[str, Figures]:
        """Let each follow the same writes of before."""
        name, writer = self._new()
        await writer.make_indexes()
        await writer.write(1)
        token = await writer.token()
        for _ in range(BACKLOG // BATCH):
            await writer.write(BATCH)
        await writer.end()

        async def nothing() -> None:
            pass

        return {
            each.name: await each.follow(self._members.url(name), BACKLOG, token, nothing)
            for each in followers
        }

    async def live(self, followers: Sequence[Follower], rate: int) -> dict[str, Figures]:
        """Let each follow writes at a steady rate."""
        found: dict[str, Figures] = {}
        for each in followers:
            name, writer = self._new()
            await writer.write(1)
            count = rate * SECONDS

            async def write(writer: Writer = writer, count: int = count) -> None:
                await writer.write_at(rate, count)
                await writer.end()

            if each is CLIENT:
                async with node(self._members.url(name)) as url:
                    found[each.name] = await each.follow(url, count, None, write)
            else:
                found[each.name] = await each.follow(self._members.url(name), count, None, write)
        return found

    def _new(self) -> tuple[str, Writer]:
        self._databases += 1
        name = f"bench{self._databases}"
        return name, Writer(self._client, name)


@asynccontextmanager
async def node(store: str) -> AsyncGenerator[str]:
    """Run a node with ``bolide run``; gives the address of its WebSockets."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bolide.ops", "run", "beds:app",
        "--app-dir", str(Path(__file__).parent / "apps"), "--port", "0", "--store", store,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip
    assert process.stdout is not None
    try:
        port = ""
        while not port:
            line = (await process.stdout.readline()).decode()
            assert line, "the node did not start"
            port = line.partition("http://127.0.0.1:")[2].split("/")[0].strip()
        yield f"ws://127.0.0.1:{port}/websocket"
    finally:
        process.terminate()
        await process.communicate()


@dataclass(frozen=True, slots=True)
class Row:
    """One row, and how a round of it is measured."""

    name: str
    unit: str
    figure: str
    followers: tuple[Follower, ...]
    rate: int = 0

    async def measure(self, bench: Bench, round_: int) -> dict[str, float]:
        """Measure one round; each second one in the opposite order."""
        found = await self._follow(bench, self.followers[:: 1 if round_ % 2 else -1])
        return {name: figures[self.figure] for name, figures in found.items()}

    async def profile(self, bench: Bench) -> None:
        """Print where the time of the node goes."""
        os.environ[PROFILED] = "1"
        found = await self._follow(bench, self.followers[1:2])
        del os.environ[PROFILED]
        for name, figures in found.items():
            for function, share in figures["profile"][:SHOWN]:
                us = share * figures["cpu_us"]
                print(f"{self.name} {name}: {100 * share:5.1f} % {us:6.2f} us {function}")

    async def _follow(self, bench: Bench, followers: Sequence[Follower]) -> dict[str, Figures]:
        return await (bench.live(followers, self.rate) if self.rate else bench.backlog(followers))


ROWS: Final = (
    Row("mongodb-backlog", "us of CPU per event", "cpu_us", (WATCH, NODE, BARE)),
    Row("mongodb-live", "us of CPU per event", "cpu_us", (WATCH, NODE), SLOW_RATE),
    Row("mongodb-latency-50", "ms from the write (p50)", "p50_ms", (WATCH, CLIENT), SLOW_RATE),
    Row("mongodb-latency-2000", "ms from the write (p50)", "p50_ms", (WATCH, CLIENT), FAST_RATE),
    Row("mongodb-10000-queries", "us of CPU per event", "cpu_us", (WATCH, MANY)),
)


async def run(rows: Sequence[Row], rounds: int, *, with_profile: bool) -> None:
    """Measure rows, and print each as it is known."""
    with only_bench(print), ReplicaSet(1) as members:
        async with AsyncMongoClient[dict[str, Any]](members.url("")) as client:
            bench = Bench(members, client)
            results = {row.name: RowResult(row=row.name, unit=row.unit, reference="watch",
                                           ours=frozenset({"node", MANY.name, "client"}))
                       for row in rows}  # fmt: skip
            for round_ in range(1, rounds + 1):
                for row in rows:
                    found = await row.measure(bench, round_)
                    for name, figure in found.items():
                        results[row.name].add(name, figure)
                    shown = ", ".join(f"{name} {figure:.2f}" for name, figure in found.items())
                    print(f"{round_}/{rounds} {row.name}: {shown} {row.unit}", flush=True)
            for row in rows if with_profile else ():
                if CLIENT not in row.followers:
                    await row.profile(bench)
    for result in results.values():
        later = [
            ours - theirs
            for name in result.ours
            for ours, theirs in zip(result.figures.get(name, ()), result.figures["watch"],
                                    strict=False)
            if ours is not None and theirs is not None
        ]  # fmt: skip
        print(f"{result.row}: {median(later):.2f} {result.unit} more than the bare loop")
        print(json.dumps(result.as_json()))


def main(
    rows: Annotated[list[str] | None, typer.Argument(help="Names of rows; all if none.")] = None,
    rounds: Annotated[int, typer.Option(min=1)] = 9,
    profile: Annotated[bool, typer.Option(help="Show where the node's time goes, too.")] = False,
) -> None:
    """Measure."""
    chosen = [row for row in ROWS if not rows or row.name in rows]
    asyncio.run(run(chosen, rounds, with_profile=profile))


if __name__ == "__main__":
    typer.run(main)
