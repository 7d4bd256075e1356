"""A node that drains: nobody comes, everybody goes, each in its time."""

import pytest

from bolide.core.ddp.messages import Move
from bolide.core.errors import StateError
from bolide.server import App
from bolide.server.node import MOVED
from bolide.server.testing import TestNode


async def test_a_drain_asks_who_knows_and_spreads_the_others() -> None:
    async with TestNode(App()) as node:
        knowing = await node.connect(bolide=True)
        plain = [await node.connect() for _ in range(3)]
        node.node.drain(9)
        node.node.drain(1)
        assert (await knowing.received(Move)).within == 9
        assert not node.node.is_ready
        with pytest.raises(StateError):
            node.open_socket()
        closed: list[int] = []
        for _ in range(3):
            await node.clock.advance(3)
            closed.append(sum(client.close_reason == MOVED for client in plain))
        assert closed == [1, 2, 3]
        assert knowing.close_reason == MOVED


async def test_a_client_that_moved_in_time_is_not_closed_twice() -> None:
    async with TestNode(App()) as node:
        client = await node.connect(bolide=True)
        node.node.drain(5)
        await client.close()
        await node.clock.advance(5)
        assert node.node.session_count == 0


async def test_a_node_without_sessions_drains_at_once() -> None:
    async with TestNode(App()) as node:
        node.node.drain(0)
        await node.clock.advance(0)
        assert node.node.session_count == 0
