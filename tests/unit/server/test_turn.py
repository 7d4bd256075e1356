"""The turn: deliveries before flushes, each once."""

import asyncio
from functools import partial

from bolide.server.turn import Turn


async def test_deliveries_come_before_flushes_and_each_once() -> None:
    turn, done = Turn(), list[str]()
    flush, deliver = partial(done.append, "flush"), partial(done.append, "deliver")
    turn.flush_later(flush)
    turn.deliver_later(deliver)
    turn.deliver_later(deliver)
    turn.flush_later(flush)
    assert done == []
    await asyncio.sleep(0)
    assert done == ["deliver", "flush"]


async def test_what_a_delivery_causes_is_flushed_in_the_same_turn() -> None:
    turn, done = Turn(), list[str]()
    turn.deliver_later(lambda: turn.flush_later(lambda: done.append("flush")))
    await asyncio.sleep(0)
    assert done == ["flush"]


async def test_what_a_flush_causes_waits_for_the_next_turn() -> None:
    turn, done = Turn(), list[str]()
    turn.flush_later(lambda: turn.deliver_later(lambda: done.append("deliver")))
    await asyncio.sleep(0)
    assert done == []
    await asyncio.sleep(0)
    assert done == ["deliver"]


async def test_one_that_fails_holds_up_nobody() -> None:
    turn, done, told = Turn(), list[str](), list[object]()
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: told.append(context["exception"]))

    def fail() -> None:
        raise RuntimeError

    turn.deliver_later(fail)
    turn.deliver_later(partial(done.append, "deliver"))
    turn.flush_later(partial(done.append, "flush"))
    await asyncio.sleep(0)
    assert done == ["deliver", "flush"]
    assert [type(error) for error in told] == [RuntimeError]
