"""Serve an ASGI application until the operator says stop."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from bolide.server.limits import Limits
from bolide.server.web.http_protocol import BolideHTTP
from bolide.server.web.tls.server import TLSServer
from bolide.server.web.tls.transport import Admit
from bolide.server.web.websocket import BolideWebSocket

__all__ = ["serving"]

_GRACE_S = 10
"""How long open requests may take to end once the service stops, seconds."""


@asynccontextmanager
async def serving(
    application: ASGIApp,
    listener: socket.socket,
    *,
    limits: Limits | None = None,
    tls: ssl.SSLContext | None = None,
    admit: Admit | None = None,
) -> AsyncGenerator[None]:
    """Serve an application for the time of the block, which begins when it takes connections.

    The application's own start and end are the caller's: uvicorn would turn their errors into
    tracebacks.

    Args:
        application: What to serve.
        listener: Its listening socket; closed at the end.
        limits: Of its sockets; None for the defaults.
        tls: For the server's side; None for plain HTTP.
        admit: Who may connect, if ``tls`` asks for certificates; None for everybody.
    """
    server = _Server(application, limits or Limits(), tls, admit)
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


class _Server(TLSServer):
    """One of several servers in a process: signals are not its matter."""

    def __init__(
        self,
        application: ASGIApp,
        limits: Limits,
        tls: ssl.SSLContext | None,
        admit: Admit | None,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                application,
                lifespan="off",
                log_config=None,
                log_level="warning",  # the node's own log tells of sessions, and without addresses
                access_log=False,
                proxy_headers=False,
                server_header=False,
                http=BolideHTTP.limited(limits),
                ws=BolideWebSocket,
                # A message over max_message_bytes is answered, as long as it could be queued.
                ws_max_size=max(limits.max_message_bytes, limits.max_queued_bytes),
                ws_per_message_deflate=False,
                ws_ping_interval=None,  # DDP has a heartbeat of its own
                timeout_graceful_shutdown=_GRACE_S,
                ssl_context_factory=None if tls is None else lambda _config, _default: tls,
            ),
            limits=limits,
            admit=admit,
        )
        self.listening = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()
