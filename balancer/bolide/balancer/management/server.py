"""Serve the management application on its socket."""

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

__all__ = ["serving"]

_GRACE_S = 2
"""How long open requests may take to end, seconds."""


@asynccontextmanager
async def serving(application: ASGIApp, listener: socket.socket) -> AsyncGenerator[None]:
    """Serve an application for the time of the block, which begins when it answers.

    Args:
        application: What to serve.
        listener: Its listening socket.
    """
    server = _Server(application)
    running = asyncio.create_task(server.serve([listener]))
    listening = asyncio.create_task(server.listening.wait())
    try:
        await asyncio.wait((running, listening), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            await running  # raises what kept it from starting
        yield
    finally:
        listening.cancel()
        server.should_exit = True
        await running


class _Server(uvicorn.Server):
    """A server in a process whose signals are not its matter."""

    def __init__(self, application: ASGIApp) -> None:
        config = uvicorn.Config(
            application,
            lifespan="off",
            log_config=None,
            log_level="warning",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACE_S,
        )
        super().__init__(config)
        self.listening = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()
