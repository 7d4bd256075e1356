"""Serve an echo on the node's WebSocket class, for Autobahn: ``python echo.py asgi|push``.

With a certificate and a key as further arguments it speaks the node's TLS. Prints the port that it
listens on, and ends with SIGTERM.
"""

import asyncio
import socket
import ssl
import sys
from collections.abc import Callable

import uvicorn
from starlette.types import Receive, Scope, Send

from bolide.ops.node.tls import tls_of
from bolide.server.settings import Settings
from bolide.server.web.tls.server import TLSServer
from bolide.server.web.websocket import BolideWebSocket
from bolide.server.web.websocket.frames import binary_frame, text_frame
from bolide.server.web.websocket.push import EXTENSION, PushSocket

MAX_MESSAGE_BYTES = 32 * 1024 * 1024  # the largest of Autobahn's cases has 16 MiB


async def echo_through_asgi(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    while (event := await receive())["type"] != "websocket.disconnect":
        await send({**event, "type": "websocket.send"})


class Echo:
    """Sends each text back; a push says of a binary message only that it came."""

    def __init__(self, socket: PushSocket) -> None:
        self._socket = socket

    def message_received(self, text: str) -> None:
        self._socket.write(text_frame(text.encode()))

    def binary_received(self) -> None:
        self._socket.write(binary_frame(b""))

    def writing_paused(self) -> None:
        pass

    def writing_resumed(self) -> None:
        pass

    def connection_lost(self, clean: bool) -> None:
        pass


async def echo_through_push(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
    await send({"type": "websocket.accept"})
    push: PushSocket = scope["extensions"][EXTENSION]
    push.start(Echo(push))
    await receive()


def _factory(cert: str, key: str) -> Callable[[uvicorn.Config, object], ssl.SSLContext]:
    tls = tls_of(Settings(tls_cert=cert, tls_key=key))
    assert tls is not None
    context = tls.context
    return lambda _config, _default: context


def main(how: str, *files: str) -> None:
    application = {"asgi": echo_through_asgi, "push": echo_through_push}[how]
    config = uvicorn.Config(
        application,
        lifespan="off",
        log_level="warning",
        ws=BolideWebSocket,
        ws_max_size=MAX_MESSAGE_BYTES,
        ws_ping_interval=None,
        ssl_context_factory=_factory(*files) if files else None,
    )
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    factory = config.get_loop_factory()
    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(TLSServer(config).serve([listener]))


if __name__ == "__main__":
    main(*sys.argv[1:])
