"""The management listener: is the node alive, may it get sessions, what does it do.

A listener of its own, so that no balancer can forward to it by mistake: on loopback, or where
everybody shows a certificate of the cluster. Programs ask here; no page in a browser may.
"""

from typing import Final

import msgspec
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from bolide.core.identity import Identity
from bolide.server.loopback import is_loopback
from bolide.server.random_ids import random_id
from bolide.server.telemetry.overview import DEFAULT_ROWS, MAX_ROWS, take_overview
from bolide.server.web.application import NodeApplication
from bolide.server.web.peer import PEER

__all__ = ["MAX_DRAIN_S", "create_management"]

MAX_DRAIN_S: Final = 3600.0
"""Longest time that a drain may take, seconds."""

_OF_A_BALANCER: Final = frozenset({("GET", "/livez"), ("GET", "/readyz"), ("POST", "/drain")})
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def create_management(application: NodeApplication, *, asks_for_roles: bool = False) -> Starlette:
    """Return the ASGI application of the management listener.

    ``/livez`` answers 200 while the process can answer at all. ``/readyz`` answers 200 while the
    node takes sessions and its store works, else 503; its JSON carries ``sessions``, and ``run``,
    which is another one after the node was started again. ``/metrics`` is Prometheus' text format.
    ``/top`` is an :class:`~bolide.server.telemetry.overview.Overview` as JSON; ``?limit=`` says how
    many sessions and live queries it tells of. POST ``/drain`` with
    ``{"within": seconds}`` lets the node take no more sessions and asks its clients to go
    elsewhere; the answer says how many there are.

    Args:
        application: The application whose node is asked.
        asks_for_roles: Whether the listener asks for certificates. Then ``ops`` may use everything,
            ``balancer`` exactly GET ``/livez``, GET ``/readyz`` and POST ``/drain``, and nobody
            else anything, from any machine. Otherwise everybody on this machine may.
    """
    run = random_id()

    async def livez(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        node = application.node
        ready = node is not None and await node.check_ready()
        return JSONResponse(
            {"ready": ready, "sessions": node.session_count if node else 0, "run": run},
            status_code=200 if ready else 503,
        )

    async def metrics(request: Request) -> Response:
        node = application.node
        exposition = node.metrics.exposition() if node else b""
        return Response(exposition, media_type=_EXPOSITION)

    async def top(request: Request) -> Response:
        node = application.node
        if node is None:
            return PlainTextResponse("The node does not run.\n", status_code=503)
        try:
            rows = _rows(request.query_params.get("limit"))
        except ValueError:
            text = f"limit is a whole number, 1 to {MAX_ROWS}.\n"
            return PlainTextResponse(text, status_code=400)
        overview = msgspec.json.encode(await take_overview(node, rows))
        headers = {"cache-control": "no-store"}
        return Response(overview, media_type="application/json", headers=headers)

    async def drain(request: Request) -> Response:
        node = application.node
        if node is None:
            return PlainTextResponse("The node does not run.\n", status_code=503)
        try:
            within_s = _within(await request.body())
        except ValueError:
            text = f'Send {{"within": seconds}}, 0 to {MAX_DRAIN_S:g}.\n'
            return PlainTextResponse(text, status_code=400)
        sessions = node.session_count
        node.drain(within_s)
        return JSONResponse({"sessions": sessions})

    return Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Route("/top", top),
            Route("/drain", drain, methods=["POST"]),
        ],
        middleware=[Middleware(_Roles if asks_for_roles else _NoPages)],
    )


class _Roles:
    """Let each role do what is its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and not _may(scope):
            text = "The role in your certificate may not do this here.\n"
            await PlainTextResponse(text, status_code=403)(scope, receive, send)
            return
        await self._app(scope, receive, send)


def _may(scope: Scope) -> bool:
    """Tell whether the peer of a request may make it."""
    peer: Identity | None = scope.get(PEER)
    if peer is None or "origin" in HTTPConnection(scope).headers:
        return False  # a page in the browser of an operator has the operator's certificate
    if peer.role == "balancer":
        return (scope["method"], scope["path"]) in _OF_A_BALANCER
    return peer.role == "ops"


class _NoPages:
    """Refuse what a browser sends for a page: it could drain the node, or read by DNS rebinding."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            headers = HTTPConnection(scope).headers
            hosts = headers.getlist("host")
            name = hosts[0].rpartition(":")[0] or hosts[0] if len(hosts) == 1 else ""
            if "origin" in headers or not is_loopback(name):
                text = "Programs of this machine may ask here, by its loopback address.\n"
                await PlainTextResponse(text, status_code=403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _rows(text: str | None) -> int:
    """Read how many rows of a kind are wanted.

    Raises:
        ValueError: If there can not be so many.
    """
    if text is None:
        return DEFAULT_ROWS
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(MAX_ROWS))):
        raise ValueError
    if not 1 <= (rows := int(text)) <= MAX_ROWS:
        raise ValueError
    return rows


def _within(body: bytes) -> float:
    """Read the time of a drain.

    Raises:
        ValueError: If there is none that can be.
    """
    request = msgspec.json.decode(body, type=_Drain)
    if not 0 <= request.within <= MAX_DRAIN_S:
        raise ValueError
    return request.within


class _Drain(msgspec.Struct):
    within: float
