"""What third-party clients are tested against: a list of tasks."""

from bolide.server import App, Context, MethodError

app = App()
tasks = app.collection("tasks")
words = app.channel("words", str, shown_for_s=2)


@app.publish("tasks.all", public=True)
async def all_tasks(ctx: Context):  # type: ignore[no-untyped-def]
    return tasks.find({})


@app.publish("tasks.refused", public=True)
async def refused(ctx: Context):  # type: ignore[no-untyped-def]
    raise MethodError("not-yours", "These tasks are somebody else's.")


@app.publish("words", public=True)
async def listen(ctx: Context, topic: str):  # type: ignore[no-untyped-def]
    return words.listen(topic)


@app.method("words.say", public=True)
async def say(ctx: Context, topic: str, word: str) -> None:
    await words.send(topic, word)


@app.method("tasks.add", public=True)
async def add(ctx: Context, id: str, title: str) -> str:
    await tasks.insert_one({"_id": id, "title": title, "done": False})
    return id


@app.method("tasks.finish", public=True)
async def finish(ctx: Context, id: str) -> int:
    result = await tasks.update_one({"_id": id}, {"$set": {"done": True}, "$unset": {"note": 1}})
    return result.matched_count


@app.method("tasks.remove", public=True)
async def remove(ctx: Context, id: str) -> int:
    return (await tasks.delete_one({"_id": id})).deleted_count


@app.method("tasks.refuse", public=True)
async def refuse(ctx: Context) -> None:
    raise MethodError("no-way", "Not today.", {"until": "tomorrow"})


@app.method("tasks.fail", public=True)
async def fail(ctx: Context) -> None:
    raise RuntimeError("a text that nobody may see")
