"""The loop of a command ends when its coroutine does, or when a signal says so."""

import asyncio
import os
import signal

import pytest

from bolide.ops.loop import run_loop, stop_signals


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
async def test_signal_sets_the_event(number: signal.Signals) -> None:
    with stop_signals() as stopped:
        os.kill(os.getpid(), number)
        async with asyncio.timeout(5):
            await stopped.wait()


async def test_same_wish_twice_is_one_wish() -> None:
    with stop_signals() as stopped:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
            os.kill(os.getpid(), number)
            async with asyncio.timeout(5):
                await stopped.wait()
    assert stopped.is_set()


async def test_later_signal_is_the_process_own() -> None:
    with stop_signals(patience_s=0) as stopped:
        os.kill(os.getpid(), signal.SIGINT)
        async with asyncio.timeout(5):
            await stopped.wait()
            timers_ran = asyncio.Event()
            asyncio.get_running_loop().call_later(0, timers_ran.set)  # after the one of 0 s
            await timers_ran.wait()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_loop_runs_to_the_end_of_its_coroutine() -> None:
    ran: list[str] = []

    async def main() -> None:
        ran.append(type(asyncio.get_running_loop()).__module__.partition(".")[0])

    run_loop(main)
    assert ran == ["uvloop"]
