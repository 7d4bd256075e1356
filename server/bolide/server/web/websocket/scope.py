"""The ASGI scope of a WebSocket."""

from asyncio.transports import Transport
from typing import Any
from urllib.parse import unquote

from starlette.types import Scope
from uvicorn.config import Config
from uvicorn.protocols.utils import get_local_addr, is_ssl

from bolide.server.web.peer import client_of
from bolide.server.web.websocket.handshake import Handshake

__all__ = ["websocket_scope"]


def websocket_scope(
    handshake: Handshake,
    config: Config,
    transport: Transport,
    *,
    state: dict[str, Any],
    extensions: dict[str, object],
) -> Scope:
    """Return what an application learns of a connection (ASGI 3.0, WebSocket 2.4).

    Args:
        handshake: What the client asked for.
        config: ``root_path`` and the version of the interface count.
        transport: For addresses and scheme.
        state: What the application's lifespan left; copied.
        extensions: Name -> value, beside the HTTP response to a handshake.
    """
    raw_path, _, query = handshake.target.partition(b"?")
    root_path = config.root_path
    return {
        "type": "websocket",
        "asgi": {"version": config.asgi_version, "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "wss" if is_ssl(transport) else "ws",
        "server": get_local_addr(transport),
        "client": client_of(transport, handshake.headers),
        "root_path": root_path,
        "path": root_path + unquote(raw_path.decode()),
        "raw_path": root_path.encode() + raw_path,
        "query_string": query,
        "headers": handshake.headers,
        "subprotocols": handshake.subprotocols,
        "state": state.copy(),
        "extensions": {"websocket.http.response": {}, **extensions},
    }
