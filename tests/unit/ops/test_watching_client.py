"""Watching client: it names each collection when the first document arrives, and once."""

import asyncio
from contextlib import aclosing

import pytest

from bolide.core.errors import ConfigurationError
from bolide.ops.listener import bind, url_of
from bolide.ops.node_service import node_running
from bolide.ops.watching_client import WatchingClient, watching_client
from bolide.server import App, Context, Cursor, Settings


async def test_names_come_once_each_as_documents_arrive() -> None:
    app = App()
    beds, notes = app.collection("beds"), app.collection("notes")

    async def publish(ctx: Context) -> list[Cursor]:
        return [beds.find(), notes.find()]

    app.publish("all", public=True)(publish)
    listener = bind("127.0.0.1", 0)
    async with (
        asyncio.timeout(20),
        node_running(app, Settings(store="memory:"), listener),
        watching_client(url_of(listener)) as client,
    ):
        await beds.insert_many([{"_id": "b1"}, {"_id": "b2"}])
        await client.subscribe("all")
        async with aclosing(client.collection_names()) as names:
            assert await anext(names) == "beds"
            await notes.insert_one({"_id": "n1"})
            assert await anext(names) == "notes"


def test_address_is_checked_at_once() -> None:
    with pytest.raises(ConfigurationError):
        WatchingClient("nowhere")
