"""Channels across nodes that share nothing but a database."""

import pytest
from tests.integration.channels.conftest import StartNode

from bolide.core.ddp.messages import Added
from bolide.core.errors import MethodError
from bolide.server import App, Context

STORES = pytest.mark.parametrize("new_store", ["sqlite", "mongodb", "redis"], indirect=True)


def make_app() -> App:
    app = App()
    typing = app.channel("typing", dict[str, int])

    @app.method("type", public=True)
    async def type(ctx: Context, ward: str, bed: int) -> None:
        await typing.send(ward, {"bed": bed})

    @app.publish("typing", public=True)
    async def listen(ctx: Context, ward: str) -> object:
        return typing.listen(ward)

    return app


@STORES
async def test_a_message_reaches_the_listeners_of_every_node_once(start_node: StartNode) -> None:
    nodes = [await start_node(make_app()) for _ in range(3)]
    clients = [await node.connect() for node in nodes]
    for client in clients:
        await client.subscribe("typing", "7")
    await clients[0].call("type", "7", 3)
    await clients[1].call("type", "8", 4)
    await clients[1].call("type", "7", 5)
    for client in clients:
        messages = [(await client.received(Added)).fields["message"] for _ in range(2)]
        assert sorted(message["bed"] for message in messages) == [3, 5]
    for client in clients:
        assert [one["n"] for one in client.documents("typing")] == [1, 2]


@STORES
async def test_a_node_that_stays_goes_on_when_another_leaves(start_node: StartNode) -> None:
    first, second = await start_node(make_app()), await start_node(make_app())
    client = await first.connect()
    await client.subscribe("typing", "7")
    await second.node.stop()
    await client.call("type", "7", 3)
    assert (await client.received(Added)).fields["message"] == {"bed": 3}
    with pytest.raises(MethodError):
        await client.call("type", "7")
