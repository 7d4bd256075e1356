"""The app of the job tests: a run begins, and goes on until somebody lets it end."""

import asyncio
import os
import secrets

from bolide.server import App, Context

app = App()
runs = app.collection("runs")
may_end = asyncio.Semaphore(0)


@app.every(seconds=1, name="slow")
async def slow() -> None:
    selector = {"_id": secrets.token_hex(4)}
    try:
        # Others may see it before this process does: it may be stopped in between.
        await runs.insert_one({**selector, "process": os.getpid(), "state": "began"})
        await may_end.acquire()
    except asyncio.CancelledError:
        await runs.update_one(selector, {"$set": {"state": "cancelled"}})
        raise
    await runs.update_one(selector, {"$set": {"state": "ended"}})


@app.method("proceed", public=True)
async def proceed(ctx: Context) -> None:
    """Let a run in this process end."""
    may_end.release()
