"""The app behind the balancer: calls that leave a trace, and cells that a whole ward sees."""

import os
from pathlib import Path

from bolide.server import App, Context

app = App(pages=Path("pages") / os.environ["NODE"])
runs = app.collection("runs")
cells = app.collection("cells")


@app.publish("cells.of", public=True)
async def cells_of(ctx: Context, ward: str) -> object:
    return cells.find({"ward": ward})


@app.method("where", public=True)
async def where(ctx: Context) -> str:
    return os.environ["NODE"]


@app.method("run", public=True)
async def run(ctx: Context, caller: str, ward: str, number: int) -> int:
    """Count one run of a call, and then one in its ward."""
    await runs.update_one({"_id": f"{caller}-{number}"}, {"$inc": {"runs": 1}}, upsert=True)
    await cells.update_one({"_id": ward}, {"$set": {"ward": ward}, "$inc": {"n": 1}}, upsert=True)
    return number
