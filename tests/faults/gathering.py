"""An app whose people see who else is there, and what they say."""

from bolide.server import App, Context

app = App()
online = app.presence("online", str)
words = app.channel("words", str)


@app.method("enter", public=True)
async def enter(ctx: Context, ward: str, name: str) -> None:
    await online.enter(ctx, ward, name)


@app.method("say", public=True)
async def say(ctx: Context, ward: str, word: str) -> None:
    await words.send(ward, word)


@app.publish("ward", public=True)
async def publish(ctx: Context, ward: str) -> object:
    return [online.here(ward), words.listen(ward)]
