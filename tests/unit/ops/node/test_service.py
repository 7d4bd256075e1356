"""Service: begins when it listens, ends with the block."""

import socket
from contextlib import closing

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bolide.ops.node.listener import bind, url_of
from bolide.ops.node.service import serving


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
