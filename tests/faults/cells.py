"""The app of the failover tests: cells that are counted up, each seen by those of its ward."""

from bolide.server import App, Context

app = App()
cells = app.collection("cells")


@app.publish("cells.of", public=True)
async def cells_of(ctx: Context, ward: str) -> object:
    return cells.find({"ward": ward})


@app.method("count", public=True)
async def count(ctx: Context, ward: str) -> None:
    await cells.update_one({"_id": ward}, {"$inc": {"n": 1}})
