"""The management listener: is the node alive, may it get sessions, what does it do.

A listener of its own, on loopback, so that no balancer can forward to it by mistake.
"""

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from bolide.server.web.application import NodeApplication

__all__ = ["create_management"]

_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


def create_management(application: NodeApplication) -> Starlette:
    """Return the ASGI application of the management listener.

    ``/livez`` answers 200 while the process can answer at all. ``/readyz`` answers 200 while the
    node takes sessions and its store works, else 503; its JSON carries ``sessions``. ``/metrics``
    is Prometheus' text format.

    Args:
        application: The application whose node is asked.
    """

    async def livez(request: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def readyz(request: Request) -> Response:
        node = application.node
        ready = node is not None and await node.check_ready()
        return JSONResponse(
            {"ready": ready, "sessions": node.session_count if node else 0},
            status_code=200 if ready else 503,
        )

    async def metrics(request: Request) -> Response:
        node = application.node
        exposition = node.metrics.exposition() if node else b""
        return Response(exposition, media_type=_EXPOSITION)

    return Starlette(
        routes=[
            Route("/livez", livez),
            Route("/readyz", readyz),
            Route("/metrics", metrics),
        ]
    )
