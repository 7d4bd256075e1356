"""The system's clock is the running loop's."""

import asyncio

from bolide.server.clock import SystemClock


def test_one_clock_serves_one_loop_after_another() -> None:
    clock = SystemClock()

    async def ask() -> None:
        before = asyncio.get_running_loop().time()
        assert before <= clock.now() <= asyncio.get_running_loop().time()

    for _ in range(2):
        asyncio.run(ask())


async def test_a_callback_is_due_at_a_time_of_the_clock() -> None:
    clock, called = SystemClock(), asyncio.Event()
    clock.call_at(clock.now(), called.set)
    await called.wait()
