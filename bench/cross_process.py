"""How much later a subscriber in another process sees a change than one in its own.

Two processes on one SQLite file, each a node with a subscriber. The first writes; both note when
the frame with the change was handed to their socket, on the clock that all processes of a machine
share (``CLOCK_MONOTONIC``). Each change is seen by both, so the two figures are interleaved.

    python bench/cross_process.py [ROUNDS] [CHANGES]

Prints the median delay of each side and their ratio for each round of CHANGES changes, and the
median of the ratios. DESIGN asks for less than 3.
"""

import asyncio
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from time import monotonic

from bolide.server import App, Context
from bolide.server.collections.collection import Collection
from bolide.server.collections.cursor import Cursor
from bolide.server.stores.sqlite import SQLiteStore
from bolide.server.testing import TestNode

NUMBER = re.compile(r'"n":(\d+)')


def make_app() -> tuple[App, Collection]:
    """Return an app that publishes the one document that changes, and its collection."""
    app = App()
    beds = app.collection("beds")

    @app.publish("beds", public=True)
    async def all_beds(ctx: Context) -> Cursor:
        return beds.find({})

    return app, beds


async def subscribe(node: TestNode, seen: Callable[[int, float], None]) -> None:
    """Subscribe, and tell of each number with the time when its frame was handed over."""
    client = await node.connect()
    await client.subscribe("beds")
    answer = client.socket.on_frames

    def note(frames: Sequence[str]) -> None:
        now = monotonic()
        for frame in frames:
            if (number := NUMBER.search(frame)) is not None:
                seen(int(number[1]), now)
        answer(frames)

    client.socket.on_frames = note


async def follow(path: str) -> None:
    """Be the other process: print what is seen, until the input ends."""
    async with TestNode(make_app()[0], store=SQLiteStore(path)) as node:
        await subscribe(node, lambda number, at: print(number, at, flush=True))
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


async def measure(rounds: int, changes: int) -> None:
    """Write, and compare the delays of both sides."""
    with TemporaryDirectory(prefix="bolide-bench-") as folder:
        path = str(Path(folder) / "ward.db")
        app, beds = make_app()
        async with TestNode(app, store=SQLiteStore(path)) as node:
            await beds.insert_one({"_id": "bed", "n": 0})
            own: dict[int, float] = {}
            here = asyncio.Event()

            def seen(number: int, at: float) -> None:
                own[number] = at
                here.set()

            await subscribe(node, seen)
            other = await asyncio.create_subprocess_exec(
                sys.executable, __file__, "follow", path,
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            assert other.stdout is not None
            assert other.stdin is not None
            await other.stdout.readline()
            ratios: list[float] = []
            for turn in range(rounds):
                near: list[float] = []
                far: list[float] = []
                for number in range(turn * changes + 1, (turn + 1) * changes + 1):
                    here.clear()
                    begin = monotonic()
                    await beds.update_one({"_id": "bed"}, {"$set": {"n": number}})
                    await here.wait()
                    said, at = (await other.stdout.readline()).split()
                    assert int(said) == number
                    near.append(own[number] - begin)
                    far.append(float(at) - begin)
                ratios.append(median(far) / median(near))
                print(
                    f"own {median(near) * 1e3:.2f} ms, other {median(far) * 1e3:.2f} ms,"
                    f" ratio {ratios[-1]:.2f}"
                )
            other.stdin.close()
            await other.wait()
    print(f"median ratio {median(ratios):.2f} of {rounds} rounds of {changes} changes")


if __name__ == "__main__":
    if sys.argv[1:2] == ["follow"]:
        asyncio.run(follow(sys.argv[2]))
    else:
        given = [int(word) for word in sys.argv[1:]]
        asyncio.run(measure(*(given + [9, 100][len(given) :])))
