"""Serve an ASGI application until the operator says stop."""

import asyncio
import signal
import socket
import ssl
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from contextlib import asynccontextmanager, contextmanager

import uvicorn
from starlette.types import ASGIApp

from bolide.server.limits import Limits
from bolide.server.web.http_protocol import BolideHTTP
from bolide.server.web.tls.server import TLSServer
from bolide.server.web.websocket import BolideWebSocket

__all__ = ["run_loop", "serving", "stop_signals"]

_GRACE_S = 10
"""How long open requests may take to end once the service stops, seconds."""
_PATIENCE_S = 1.0
"""`timeout` and terminals signal a process and its group, so the same wish may come twice."""
# SIGHUP: the terminal was closed.
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_signals(*, patience_s: float = _PATIENCE_S) -> Generator[asyncio.Event]:
    """Give an event that SIGINT, SIGTERM and SIGHUP set, for the time of the block.

    The first signal only sets the event; one that comes later ends the process at once.

    Args:
        patience_s: How long further signals mean the same as the first, seconds.
    """
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()

    def forget() -> None:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)

    timers: list[asyncio.TimerHandle] = []

    def stop() -> None:
        if not stopped.is_set():
            stopped.set()
            timers.append(loop.call_later(patience_s, forget))

    for number in _SIGNALS:
        loop.add_signal_handler(number, stop)
    try:
        yield stopped
    finally:
        for timer in timers:
            timer.cancel()
        forget()


@asynccontextmanager
async def serving(
    application: ASGIApp,
    listener: socket.socket,
    *,
    limits: Limits | None = None,
    tls: ssl.SSLContext | None = None,
) -> AsyncGenerator[None]:
    """Serve an application for the time of the block, which begins when it takes connections.

    The application's own start and end are the caller's: uvicorn would turn their errors into
    tracebacks.

    Args:
        application: What to serve.
        listener: Its listening socket; closed at the end.
        limits: Of its sockets; None for the defaults.
        tls: For the server's side; None for plain HTTP.
    """
    server = _Server(application, limits or Limits(), tls)
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


def run_loop(main: Callable[[], Coroutine[None, None, None]]) -> None:
    """Run a coroutine function on the fastest event loop there is.

    Args:
        main: Called inside the loop.
    """
    factory = uvicorn.Config(_nothing, log_config=None).get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(main())


async def _nothing(*_: object) -> None:
    """Stand for the application where only the configuration counts."""


class _Server(TLSServer):
    """One of several servers in a process: signals are not its matter."""

    def __init__(self, application: ASGIApp, limits: Limits, tls: ssl.SSLContext | None) -> None:
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
        )
        self.listening = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Generator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listening.set()
