"""The app of the kill tests: every call leaves a document that tells how often it ran."""

from bolide.server import App, Context

app = App()
runs = app.collection("runs")
totals = app.collection("totals")


@app.publish("runs", public=True)
async def all_runs(ctx: Context) -> object:
    return [runs.find({}), totals.find({})]


@app.publish("runs.of", public=True)
async def runs_of(ctx: Context, writer: str) -> object:
    return runs.find({"writer": writer})


@app.publish("runs.last", public=True)
async def last_runs(ctx: Context, limit: int) -> object:
    return runs.find({}, sort=[("number", -1)], limit=limit)


@app.method("run", public=True)
async def run(ctx: Context, writer: str, number: int) -> int:
    """Count one run of a call, and the runs of all calls, together; then note that it is done.

    The second write leaves time to be killed between the first one and the answer.
    """
    async with app.transaction():
        await runs.update_one(
            {"_id": f"{writer}-{number}"},
            {"$set": {"writer": writer, "number": number}, "$inc": {"runs": 1}},
            upsert=True,
        )
        await totals.update_one({"_id": "all"}, {"$inc": {"runs": 1}}, upsert=True)
    await runs.update_one({"_id": f"{writer}-{number}"}, {"$set": {"done": True}})
    return number
