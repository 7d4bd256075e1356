"""A process on a database file, told what to do by its arguments; prints one line per step.

``count N``     adds 1 to the shared counter N times and prints ``done I`` after each was written
``record N``    inserts N documents of its own and prints ``done ID`` after each was written
``follow``      prints the id of each document that is inserted, until its input ends
``transact``    begins a transaction, writes in it, prints ``open`` and waits for its input to end
"""

import asyncio
import os
import sys
from itertools import count

from bolide.server.stores.base import ChangeBatch, Insert, Position, Update
from bolide.server.stores.sqlite import SQLiteStore


def say(text: str) -> None:
    print(text, flush=True)


class Follower:
    def changes_received(self, batch: ChangeBatch) -> None:
        for change in batch.changes:
            say(f"seen {change.id}")

    def history_lost(self, position: Position) -> None:
        say(f"lost {position}")


async def end_of_input() -> None:
    await asyncio.to_thread(sys.stdin.read)


async def main(path: str, task: str, number: str = "0") -> None:
    store = SQLiteStore(path)
    await store.open()
    say("ready")
    match task:
        case "count":
            for step in range(int(number)):
                await store.write(
                    Update(
                        collection="counters",
                        selector={"_id": "shared"},
                        modifier={"$inc": {"n": 1}},
                        upsert=True,
                    )
                )
                say(f"done {step}")
        case "record":
            # Without a number it goes on until it is killed.
            for step in range(int(number)) if int(number) else count():
                id = f"{os.getpid()}-{step}"
                await store.write(Insert(collection="records", documents=[{"_id": id}]))
                say(f"done {id}")
        case "follow":
            store.listen(Follower())
            say("following")
            await end_of_input()
        case _:
            async with store.transaction() as transaction:
                await transaction.write(Insert(collection="records", documents=[{"_id": "open"}]))
                say("open")
                await end_of_input()
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
