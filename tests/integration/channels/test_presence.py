"""Presence across nodes that share nothing but a database."""

import pytest
from tests.integration.channels.conftest import StartNode

from bolide.server import App, Context
from bolide.server.testing import TestClient, TestNode

STORES = pytest.mark.parametrize("new_store", ["sqlite", "mongodb", "redis"], indirect=True)


def make_app() -> App:
    app = App()
    online = app.presence("online", str)

    @app.method("enter", public=True)
    async def enter(ctx: Context, name: str) -> None:
        await online.enter(ctx, "7", name)

    @app.publish("here", public=True)
    async def here(ctx: Context) -> object:
        return online.here("7")

    return app


async def shows(client: TestClient, *names: str) -> None:
    await client.wait_for(
        lambda: sorted(one["info"] for one in client.documents("online")) == sorted(names)
    )


async def go_on(*nodes: TestNode) -> None:
    """Let time pass, no faster than what the nodes write and read can follow."""
    for node in nodes:
        await node.clock.advance(0.5)
    for node in nodes:
        await node.store.feed_reached(await node.store.latest_position())


@STORES
async def test_every_node_shows_who_is_on_any(start_node: StartNode) -> None:
    first, second = await start_node(make_app()), await start_node(make_app())
    ann, ben = await first.connect(), await second.connect()
    for client in (ann, ben):
        await client.subscribe("here")
    await ann.call("enter", "ann")
    await ben.call("enter", "ben")
    await shows(ann, "ann", "ben")
    await shows(ben, "ann", "ben")
    await ann.close()
    await shows(ben, "ben")


@STORES
async def test_a_node_that_comes_later_asks_who_is_there(start_node: StartNode) -> None:
    first = await start_node(make_app())
    ann = await first.connect()
    await ann.call("enter", "ann")
    second = await start_node(make_app())
    ben = await second.connect()
    await ben.subscribe("here")
    # It has asked; who answers does so in a moment, to all that asked.
    # Both clocks go: one that stands still while the other one goes is that of a dead node.
    while not ben.documents("online"):
        await go_on(first, second)
    await shows(ben, "ann")
    await first.node.stop()
    await shows(ben)


@STORES
async def test_a_node_that_is_silent_for_the_lease_is_gone(start_node: StartNode) -> None:
    first, second = await start_node(make_app()), await start_node(make_app())
    ann, ben = await first.connect(), await second.connect()
    await ben.subscribe("here")
    await ann.call("enter", "ann")
    await shows(ben, "ann")
    # The clock of the first one stands still: it tells nothing.
    await second.clock.advance(29.9)
    assert ben.documents("online") != []
    await second.clock.advance(0.1)
    await shows(ben)
    # It goes on, and the other one asks who is there.
    await first.clock.advance(10)
    while not ben.documents("online"):
        await go_on(first, second)
    await shows(ben, "ann")
