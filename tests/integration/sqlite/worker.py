"""A process on a database file, told what to do by its arguments; prints one line per step.

``count N W``   adds 1 to the shared counter N times, with W writers at once, and prints ``done I``
                after each was written
``crowd``       inserts pairs of documents, with 16 writers at once, until it is killed; prints
                ``done ID`` after each pair was written
``board H``     keeps a subscription on a store with H changes of history; for each line of input
                it prints ``view N LOSSES`` if what the subscription shows is what a query finds
``record N``    inserts N documents of its own and prints ``done ID`` after each was written
``follow``      prints the id of each document that is inserted, until its input ends
``transact``    begins a transaction, writes in it, prints ``open`` and waits for its input to end
"""

import asyncio
import os
import sys
from itertools import count

from bolide.core.keys import key_of
from bolide.server.app import App
from bolide.server.collections.cursor import Cursor
from bolide.server.context import Context
from bolide.server.stores.base import ChangeBatch, Insert, Position, Query, Update
from bolide.server.stores.sqlite import SQLiteStore
from bolide.server.testing import TestNode


def say(text: str) -> None:
    print(text, flush=True)


class Follower:
    def changes_received(self, batch: ChangeBatch) -> None:
        for change in batch.changes:
            say(f"seen {change.id}")

    def history_lost(self, position: Position) -> None:
        say(f"lost {position}")


class Losses:
    number = 0

    def changes_received(self, batch: ChangeBatch) -> None:
        pass

    def history_lost(self, position: Position) -> None:
        self.number += 1


async def end_of_input() -> None:
    await asyncio.to_thread(sys.stdin.read)


async def count_up(store: SQLiteStore, steps: int) -> None:
    for step in range(steps):
        await store.write(
            Update(
                collection="counters",
                selector={"_id": "shared"},
                modifier={"$inc": {"n": 1}},
                upsert=True,
            )
        )
        say(f"done {step}")


async def insert_pairs(store: SQLiteStore, writer: int) -> None:
    for step in count():
        id = f"{os.getpid()}-{writer}-{step}"
        pair = [{"_id": f"{id}-{half}", "pair": id} for half in "ab"]
        await store.write(Insert(collection="records", documents=pair))
        say(f"done {id}")


async def keep_a_board(path: str, history: int) -> None:
    app = App()
    records = app.collection("records")

    @app.publish("top", public=True)
    async def top(ctx: Context) -> Cursor:
        return records.find({"n": {"$gte": 0}}, sort=[("n", -1)], limit=20)

    store, losses = SQLiteStore(path, history=history), Losses()
    async with TestNode(app, store=store) as node:
        store.listen(losses)
        client = await node.connect()
        await client.subscribe("top")
        say("ready")
        while await asyncio.to_thread(sys.stdin.readline):
            query = Query(collection="records", selector={}, sort=(("n", -1),), limit=20)
            found = await store.read(query)
            await store.feed_reached(found.position)
            await node.settle()
            shown = {key_of(one["_id"]): one for one in client.documents("records")}
            wanted = {key_of(one["_id"]): one for one in found.documents}
            say(f"view {len(shown)} {losses.number}" if shown == wanted else "view differs")


async def main(path: str, task: str, number: str = "0", writers: str = "1") -> None:
    if task == "board":
        await keep_a_board(path, int(number))
        return
    store = SQLiteStore(path)
    await store.open()
    say("ready")
    match task:
        case "count":
            steps = int(number) // int(writers)
            await asyncio.gather(*(count_up(store, steps) for _ in range(int(writers))))
        case "crowd":
            await asyncio.gather(*(insert_pairs(store, writer) for writer in range(16)))
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
