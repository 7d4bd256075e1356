"""The app of the slow readers: its process says what memory Python holds."""

import gc
import tracemalloc

from bolide.server import App, Context

tracemalloc.start()

DOCUMENTS = 500
TEXT_BYTES = 1_000

app = App()
notes = app.collection("notes")
marks = app.collection("marks")


@app.publish("notes", public=True)
async def all_notes(ctx: Context) -> object:
    return notes.find({})


@app.publish("marks", public=True)
async def all_marks(ctx: Context) -> object:
    return marks.find({})


@app.method("fill", public=True)
async def fill(ctx: Context) -> None:
    """Put all documents there."""
    await notes.insert_many(
        [{"_id": f"n{i}", "number": 0, "text": _text(0)} for i in range(DOCUMENTS)]
    )


@app.method("change", public=True)
async def change(ctx: Context, first: int, count: int) -> None:
    """Make changes, one by one, that are numbered from ``first`` on; each is of 1 kB."""
    for number in range(first, first + count):
        values = {"number": number, "text": _text(number)}
        await notes.update_one({"_id": f"n{number % DOCUMENTS}"}, {"$set": values})


@app.method("mark", public=True)
async def mark(ctx: Context, number: int) -> int:
    """Note a number in both collections; returns it."""
    await marks.update_one({"_id": f"m{number}"}, {"$set": {"number": number}}, upsert=True)
    await notes.update_one({"_id": "n0"}, {"$set": {"mark": number}})
    return number


@app.method("memory", public=True)
async def memory(ctx: Context) -> int:
    """Return what Python holds, bytes."""
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _text(number: int) -> str:
    return f"{number:06}".ljust(TEXT_BYTES, "x")
