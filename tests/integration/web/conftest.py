"""Every endpoint over both WebSocket implementations: uvicorn's own and ours."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from typing import Any

import pytest
import pytest_asyncio
from tests.integration.conftest import Serve

from bolide.server.web.websocket import BolideWebSocket

IMPLEMENTATIONS: dict[str, dict[str, Any]] = {"stock": {}, "own": {"ws": BolideWebSocket}}


@pytest_asyncio.fixture(params=sorted(IMPLEMENTATIONS))
async def serve(request: pytest.FixtureRequest) -> AsyncGenerator[Serve]:
    async with AsyncExitStack() as stack:
        yield Serve(stack, **IMPLEMENTATIONS[request.param])
