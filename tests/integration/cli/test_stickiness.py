"""A client that connects anew through a balancer comes back to its node."""

import asyncio
import os
import signal
import ssl
from contextlib import suppress
from pathlib import Path

import pytest
from tests.integration.cli.conftest import TIMEOUT_S, Command, Start

from bolide.client import Backoff, connect
from bolide.core.errors import MethodError
from bolide.ops.balancer.management import ask

APP = """
import asyncio
import os

from bolide.server import App, Context

app = App()


@app.method("where", public=True)
async def where(ctx: Context) -> int:
    return os.getpid()


@app.method("leave", public=True)
async def leave(ctx: Context) -> None:
    ctx.session.close()
"""

COMES_BACK = 8
AT_ONCE = Backoff(eager_delay_s=0.0, base_s=0.0)


@pytest.fixture
async def cluster(bolide: Start, tmp_path: Path) -> Command:
    (tmp_path / "served.py").write_text(APP)
    return await bolide("up", "served:app", "--port", "0", "--workers", "1")


async def test_a_client_comes_back_to_its_node_and_finds_another_when_that_is_gone(
    cluster: Command, tmp_path: Path
) -> None:
    url = (await cluster.said(r"serves at (https://localhost:\d+)/"))[1]
    state = tmp_path / ".bolide"
    tls = ssl.create_default_context(cafile=str(state / "browsers" / "ca.pem"))
    connected: list[object] = []

    async def count(connection: object) -> None:
        connected.append(connection)

    async with (
        asyncio.timeout(4 * TIMEOUT_S),
        connect(url, ssl=tls, backoff=AT_ONCE, on_connect=count) as client,
    ):
        # Calls are sent again over the next connection until they are answered.
        first = await client.call("where")
        for _ in range(COMES_BACK):
            with suppress(MethodError):  # the connection is lost before the answer
                await client.call("leave", retry=False)
            assert await client.call("where") == first
        [worker] = (await asyncio.to_thread(ask, state / "management.sock", "/top"))["workers"]
        os.kill(worker["pid"], signal.SIGKILL)
        while len(connected) < COMES_BACK + 2:
            assert await client.call("where") == first
        os.kill(first, signal.SIGKILL)
        assert await client.call("where") != first
    assert len(connected) == COMES_BACK + 3
