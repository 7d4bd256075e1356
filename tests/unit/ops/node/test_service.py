"""Service: begins when it listens, ends when it is told, by signal or by leaving the block."""

import asyncio
import os
import signal
import socket
from contextlib import closing

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bolide.ops.node.listener import bind, url_of
from bolide.ops.node.service import run_loop, serving, stop_signals


async def _hello(request: Request) -> PlainTextResponse:
    return PlainTextResponse("hello")


APPLICATION = Starlette(routes=[Route("/", _hello)])


async def test_application_answers_inside_the_block_and_not_after() -> None:
    listener = bind("127.0.0.1", 0)
    url = url_of(listener)
    async with httpx.AsyncClient(trust_env=False) as client:
        async with serving(APPLICATION, listener):
            response = await client.get(url)
            assert response.text == "hello"
            assert "server" not in response.headers
        with pytest.raises(httpx.ConnectError):
            await client.get(url)


async def test_two_applications_are_served_side_by_side() -> None:
    first, second = bind("127.0.0.1", 0), bind("127.0.0.1", 0)
    urls = [url_of(first), url_of(second)]
    async with (
        serving(APPLICATION, first),
        serving(APPLICATION, second),
        httpx.AsyncClient(trust_env=False) as client,
    ):
        assert [(await client.get(url)).text for url in urls] == ["hello", "hello"]


async def test_error_while_starting_reaches_the_caller() -> None:
    with closing(socket.socket()) as closed:
        pass
    with pytest.raises((OSError, ValueError)):
        async with serving(APPLICATION, closed):
            pytest.fail("the block began")


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
