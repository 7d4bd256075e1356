"""The fence: forward only, and as far as it is known."""

import asyncio

import pytest

from bolide.core.errors import StateError
from bolide.server.access.fence import Fence
from bolide.server.stores.base import Position


def test_it_moves_forward_only() -> None:
    fence = Fence()
    assert not fence
    for position in (3, 7, 5):
        fence.reached("beds", position)
    assert fence == {"beds": 7}
    assert fence


async def test_it_waits_for_positions_that_are_not_known() -> None:
    fence = Fence()
    fence.reached("beds", 9)
    first: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
    second: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
    fence.will_reach({"beds", "notes"}, first)
    fence.will_reach({"notes"}, second)
    waiting = [asyncio.create_task(fence.known()) for _ in range(2)]
    first.set_result(5)
    await asyncio.sleep(0)
    assert not any(task.done() for task in waiting)
    second.set_result(6)
    await asyncio.gather(*waiting)
    assert fence == {"beds": 9, "notes": 6}


async def test_an_unknown_position_alone_is_waited_for() -> None:
    fence = Fence()
    position: asyncio.Future[Position] = asyncio.get_running_loop().create_future()
    fence.will_reach({"beds"}, position)
    assert fence
    position.set_exception(StateError("The store was closed."))
    with pytest.raises(StateError):
        await fence.known()
    await fence.known()
    assert not fence
