"""The Python SDK hears a channel: each message once, and nothing again after a reconnect."""

import asyncio
import socket
from pathlib import Path

from tests.integration.conftest import Server

from bolide.client import Client, ConnectionState, connect
from bolide.server import App, Context, Settings

TIMEOUT_S = 20


def make_app(store: Path) -> App:
    app = App(Settings(store=f"sqlite:///{store}"))
    typing = app.channel("typing", int, shown_for_s=3_600)

    @app.method("type", public=True)
    async def type(ctx: Context, ward: str, bed: int) -> None:
        await typing.send(ward, bed)

    @app.publish("typing", public=True)
    async def listen(ctx: Context, ward: str) -> object:
        return typing.listen(ward)

    return app


async def reach(client: Client, state: ConnectionState) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        async for status in client.statuses():
            if status.state is state:
                return


async def test_messages_come_once_and_are_not_repeated(tmp_path: Path) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    server = Server(make_app(tmp_path / "ward.db").asgi)
    await server.start(listener)
    async with connect(f"ws://127.0.0.1:{port}/websocket") as client:
        messages = client.channel("typing").messages()
        first = asyncio.ensure_future(anext(messages))
        await client.subscribe("typing", "7")
        await client.call("type", "7", 1)
        await client.call("type", "8", 2)
        await client.call("type", "7", 3)
        heard = [await first, await anext(messages)]
        assert [(one.topic, one.message, one.missed) for one in heard] == [
            ("7", 1, 0),
            ("7", 3, 0),
        ]
        assert client.channel("typing") is client.channel("typing")
        assert client.collection("typing").find().count() == 2

        await server.stop()
        await reach(client, ConnectionState.WAITING)
        listener = socket.create_server(("127.0.0.1", port))
        server = Server(make_app(tmp_path / "ward.db").asgi)
        await server.start(listener)
        await client.call("type", "7", 4)
        again = await anext(messages)
        assert (again.message, again.missed) == (4, 0)
        assert [one["message"] for one in client.collection("typing").find().fetch()] == [4]
    assert [one async for one in messages] == []
    assert [one async for one in client.channel("late").messages()] == []
    await server.stop()
