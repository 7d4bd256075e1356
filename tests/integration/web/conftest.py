"""The node is served twice: by a stock uvicorn, and with the node's own WebSocket class."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack

import pytest
import pytest_asyncio
from tests.integration.conftest import Serve

from bolide.server.web.websocket import BolideWebSocket


@pytest_asyncio.fixture(params=["auto", BolideWebSocket], ids=["stock", "own"])
async def serve(request: pytest.FixtureRequest) -> AsyncGenerator[Serve]:
    async with AsyncExitStack() as stack:
        yield Serve(stack, ws=request.param)
