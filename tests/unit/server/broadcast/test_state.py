"""What an operator sees of channels and presence."""

from bolide.server import App, Context
from bolide.server.telemetry.overview import take_overview
from bolide.server.testing import TestNode


async def test_an_overview_and_the_metrics_tell_how_channels_are() -> None:
    app = App()
    typing, online = app.channel("typing", str), app.presence("online")

    @app.publish("board", public=True)
    async def board(ctx: Context, ward: str) -> object:
        await online.enter(ctx, ward)
        return [typing.listen(ward), online.here(ward)]

    async with TestNode(app) as node:
        client = await node.connect()
        await client.subscribe("board", "Meyer")
        await typing.send("Meyer", "Meyer")
        state = (await take_overview(node.node)).broadcast
        assert state is not None
        assert (state.path, state.waits_because, state.neighbours) == ("in process", "", 0)
        assert (state.topics, state.listeners, state.own_members, state.members) == (1, 1, 1, 1)
        # The question who is there, who came, and the message.
        assert (state.published, state.received, state.expired, state.losses) == (3, 0, 0, 0)
        text = node.node.metrics.exposition().decode()
    assert 'bolide_broadcast_messages_total{outcome="published"} 3.0' in text
    assert 'bolide_channel_messages_sent_total{channel="typing"} 1.0' in text
    assert 'bolide_channel_messages_delivered_total{channel="typing"} 1.0' in text
    assert "bolide_broadcast_waits 0.0" in text
    assert "bolide_broadcast_losses_total 0.0" in text
    assert "bolide_presence_members 1.0" in text
    assert "Meyer" not in text


async def test_an_app_without_channels_tells_nothing_of_them() -> None:
    async with TestNode(App()) as node:
        assert (await take_overview(node.node)).broadcast is None
        assert b"bolide_broadcast" not in node.node.metrics.exposition()
