"""The management listener: is the balancer alive, what does it do, which nodes are there."""

from typing import Final, TypeVar

import msgspec
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from bolide.balancer.management.exposition import CONTENT_TYPE
from bolide.balancer.management.metrics import metrics_page
from bolide.balancer.management.overview import overview_of
from bolide.balancer.supervisor.supervisor import LastNode, Supervisor, UnknownNode

__all__ = ["MAX_BODY_BYTES", "MAX_DRAIN_S", "create_management"]

MAX_DRAIN_S: Final = 3600.0
"""Longest time that a drain may take, seconds."""

MAX_BODY_BYTES: Final = 4096
"""Of a request."""

_DRAIN: Final = (
    f'Send {{"node": name, "within": seconds}}, 0 to {MAX_DRAIN_S:g}, and "force": true to drain'
    " the last node.\n"
)
_UNDRAIN: Final = 'Send {"node": name}.\n'

_Wish = TypeVar("_Wish")


class _Drain(msgspec.Struct, forbid_unknown_fields=True):
    node: str
    within: float
    force: bool = False


class _Undrain(msgspec.Struct, forbid_unknown_fields=True):
    node: str


def create_management(supervisor: Supervisor) -> Starlette:
    """Return the ASGI application of the management socket.

    ``/livez`` answers 200 while the supervisor can answer at all; ``/readyz`` while clients that
    come are taken to a node, else 503. ``/metrics`` is Prometheus' text format, ``/nodes`` all
    nodes as JSON, ``/top`` all that somebody who watches wants to know. POST ``/drain`` and
    ``/undrain`` are for one node.

    Args:
        supervisor: Who is asked.
    """

    async def livez(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        is_ready = supervisor.is_ready
        return _json({"ready": is_ready}, 200 if is_ready else 503)

    async def metrics(request: Request) -> Response:
        return Response(metrics_page(supervisor), media_type=CONTENT_TYPE)

    async def nodes(request: Request) -> Response:
        return _json({"nodes": supervisor.rows()})

    async def top(request: Request) -> Response:
        return _json(overview_of(supervisor))

    async def drain(request: Request) -> Response:
        try:
            wish = await _read(request, _Drain)
            if not 0 <= wish.within <= MAX_DRAIN_S:
                raise ValueError
        except ValueError:
            return PlainTextResponse(_DRAIN, status_code=400)
        try:
            return _json(await supervisor.drain(wish.node, wish.within, is_forced=wish.force))
        except UnknownNode as error:
            return PlainTextResponse(f"{error}\n", status_code=404)
        except LastNode as error:
            return PlainTextResponse(f"{error}\n", status_code=409)

    async def undrain(request: Request) -> Response:
        try:
            wish = await _read(request, _Undrain)
        except ValueError:
            return PlainTextResponse(_UNDRAIN, status_code=400)
        try:
            supervisor.undrain(wish.node)
        except UnknownNode as error:
            return PlainTextResponse(f"{error}\n", status_code=404)
        return _json({"node": wish.node})

    return Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
            Route("/nodes", nodes),
            Route("/top", top),
            Route("/drain", drain, methods=["POST"]),
            Route("/undrain", undrain, methods=["POST"]),
        ]
    )


def _json(content: object, status: int = 200) -> Response:
    headers = {"cache-control": "no-store"}
    body = msgspec.json.encode(content)
    return Response(body, status, headers, media_type="application/json")


async def _read(request: Request, kind: type[_Wish]) -> _Wish:
    """Read the body of a request.

    Raises:
        ValueError: If it is too long, or no such JSON.
    """
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise ValueError
    except ClientDisconnect:
        raise ValueError from None
    return msgspec.json.decode(body, type=kind)
