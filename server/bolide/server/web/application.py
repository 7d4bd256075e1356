"""The ASGI application of one app: DDP endpoints, pages, and the node's life.

Served alone it starts and stops the node itself, through ASGI's lifespan. Mounted in another
application it never hears of a lifespan: the parent passes ``lifespan=app.lifespan``.
"""

import secrets
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Self

from starlette.applications import Starlette
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route, WebSocketRoute
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocket

from bolide.core.errors import ConfigurationError
from bolide.server.app import App
from bolide.server.node import Node
from bolide.server.settings import Settings
from bolide.server.stores.urls import open_store
from bolide.server.web.build import build_of
from bolide.server.web.origin import OriginPolicy
from bolide.server.web.transports.framing import RAW, SOCKJS, TextFraming
from bolide.server.web.transports.push_transport import PushTransport
from bolide.server.web.transports.socket import SessionSocket
from bolide.server.web.websocket.push import EXTENSION, PushSocket

__all__ = ["NodeApplication"]

_NOT_STARTED = (
    "Bolide was not started: give the parent application lifespan=app.lifespan"
    " (a mounted application gets no lifespan of its own)"
)
_TAKES_NONE = "This node takes no sessions now; connect again"
_HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}


class NodeApplication:
    """One node as an ASGI application.

    Args:
        make_node: Makes the node; called at start-up.
        policy: Which ``Host`` and ``Origin`` it answers.
        pages: Folder with the pages at ``/``, or None.
    """

    def __init__(
        self, make_node: Callable[[], Node], policy: OriginPolicy, pages: Path | None = None
    ) -> None:
        """Lay out the routes; nothing is started yet."""
        self._make_node = make_node
        self._node: Node | None = None
        routes: list[BaseRoute] = [
            *(
                WebSocketRoute(path, self._raw_socket)
                for path in ("/websocket", "/websocket/", "/sockjs/websocket")
            ),
            WebSocketRoute("/sockjs/{server}/{session}/websocket", self._sockjs_socket),
            Route("/sockjs", _welcome),
            Route("/sockjs/", _welcome),
            Route("/sockjs/info", _sockjs_info),
        ]
        if pages is not None:
            if not pages.is_dir():
                raise ConfigurationError("pages", str(pages), "a folder that exists")
            routes.append(Mount("/", StaticFiles(directory=pages, html=True)))
        else:
            routes.append(Route("/", _no_pages))
        self._starlette = Starlette(
            routes=routes,
            middleware=[Middleware(_Guard, policy=policy), Middleware(_Started, application=self)],
            lifespan=self.lifespan,
        )

    @classmethod
    def of_app(cls, app: App, settings: Settings) -> Self:
        """Make the application of an app, on the store that its settings name.

        Raises:
            ConfigurationError: If a setting cannot work.
        """
        policy = OriginPolicy.from_settings(settings.public_url, settings.allowed_origins)

        def make_node() -> Node:
            build_id = settings.build_id or build_of(app.pages)
            store = open_store(
                settings.store,
                store_max_bytes=settings.limits.store_max_bytes,
                insecure=settings.insecure_store,
                max_feed_lag_s=settings.limits.max_feed_lag_s,
            )
            return Node(app, store, settings=settings, build_id=build_id)

        return cls(make_node, policy, app.pages)

    @property
    def node(self) -> Node | None:
        """The node while it runs."""
        return self._node

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one ASGI conversation."""
        await self._starlette(scope, receive, send)

    @asynccontextmanager
    async def lifespan(self, parent: object = None) -> AsyncGenerator[None]:
        """Run the node; pass this to the application that this one is mounted in.

        Args:
            parent: The parent application, as ASGI frameworks pass it; not used.
        """
        node = self._make_node()
        await node.start()
        self._node = node
        try:
            yield
        finally:
            self._node = None
            await node.stop()

    async def _raw_socket(self, websocket: WebSocket) -> None:
        await self._serve(websocket, RAW)

    async def _sockjs_socket(self, websocket: WebSocket) -> None:
        await self._serve(websocket, SOCKJS)

    async def _serve(self, websocket: WebSocket, texts: TextFraming) -> None:
        node = self._node
        assert node is not None, _NOT_STARTED  # _Started answered otherwise
        await websocket.accept()
        if not node.is_ready:  # a drain began meanwhile
            await websocket.close(1012, _TAKES_NONE)
            return
        address = websocket.client.host if websocket.client else None
        push: PushSocket | None = websocket.scope.get("extensions", {}).get(EXTENSION)
        if push is not None:
            transport = PushTransport(push, texts, node.clock)
            driver = node.open_session(transport, client_address=address, headers=websocket.headers)
            transport.start(driver)
            return  # the connection goes on; what served its handshake need not
        socket = SessionSocket(websocket, texts, node.clock)
        driver = node.open_session(socket, client_address=address, headers=websocket.headers)
        await socket.run(driver)


class _Guard:
    """Refuse requests for another host or from another origin's page."""

    def __init__(self, app: ASGIApp, policy: OriginPolicy) -> None:
        self._app = app
        self._policy = policy

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            connection = HTTPConnection(scope)
            if repeated := _repeated(connection):
                text = f"The header {repeated} is there more than once"
                await _refuse(text, 400, scope, receive, send)
                return
            refusal = self._policy.refusal(
                host=connection.headers.get("host"),
                origin=connection.headers.get("origin"),
                server=scope.get("server"),
            )
            if refusal is not None:
                await _refuse(refusal, 403, scope, receive, send)
                return
        await self._app(scope, receive, _with_headers(send))


def _repeated(connection: HTTPConnection) -> str | None:
    """Return a header that decides who is answered and is there twice: who else reads the first?"""
    headers = connection.headers
    return next((name for name in ("Host", "Origin") if len(headers.getlist(name)) > 1), None)


class _Started:
    """Answer with what is missing while the node does not run."""

    def __init__(self, app: ASGIApp, application: NodeApplication) -> None:
        self._app = app
        self._application = application

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        node = self._application.node
        if scope["type"] in ("http", "websocket") and node is None:
            await _refuse(_NOT_STARTED, 503, scope, receive, send)
        elif scope["type"] == "websocket" and node is not None and not node.is_ready:
            await _refuse(
                "This node takes no sessions now; connect again", 503, scope, receive, send
            )
        else:
            await self._app(scope, receive, send)


def _with_headers(send: Send) -> Send:
    """Add to every page what keeps browsers from guessing, framing or loading foreign code."""

    async def send_with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(_HEADERS)
        await send(message)

    return send_with_headers


async def _refuse(text: str, status: int, scope: Scope, receive: Receive, send: Send) -> None:
    response = PlainTextResponse(text + "\n", status_code=status)
    if scope["type"] == "websocket":
        await WebSocket(scope, receive, send).send_denial_response(response)
    else:
        await response(scope, receive, send)


async def _no_pages(request: Request) -> Response:
    return PlainTextResponse(
        "A Bolide node is running here; this app has no pages.\n"
        f"Look at its data:  bolide watch {request.base_url} PUBLICATION\n"
        "Serve pages:       App(pages=Path('folder'))\n"
    )


async def _welcome(request: Request) -> Response:
    return PlainTextResponse("Welcome to SockJS!\n")


async def _sockjs_info(request: Request) -> Response:
    """Tell a SockJS client that WebSocket is all there is; the answer differs each time."""
    origin = request.headers.get("origin")  # _Guard let it pass
    headers = {"cache-control": "no-store", "vary": "origin"}
    if origin is not None:
        headers["access-control-allow-origin"] = origin
        headers["access-control-allow-credentials"] = "true"
    answer = {
        "websocket": True,
        "origins": [origin or str(request.base_url).rstrip("/")],
        "cookie_needed": False,
        "entropy": secrets.randbits(32),
    }
    return JSONResponse(answer, headers=headers)
