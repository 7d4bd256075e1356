"""Open one WebSocket, the way this SDK wants it."""

import logging
import ssl
from collections.abc import Mapping
from typing import Any

import websockets
from websockets.asyncio.client import ClientConnection

from bolide.client.connection.address import Address

__all__ = ["dial"]

# At level DEBUG the library logs the content of frames, which is patient data.
_logger = logging.getLogger("bolide.client.websocket")
_logger.setLevel(logging.WARNING)

# Time for the closing handshake; a server that is gone must not hold up the next attempt.
_CLOSE_TIMEOUT_S = 2.0


class _Dialler(websockets.connect):
    """Connects without following redirects, which would carry our headers to another server."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        """Answer with the refusal itself."""
        return exc


async def dial(
    address: Address,
    *,
    headers: Mapping[str, str],
    ssl_context: ssl.SSLContext | None,
    max_frame_bytes: int,
) -> ClientConnection:
    """Open a WebSocket; the caller limits the time.

    DDP has its own heartbeat, so WebSocket pings are not sent. Nothing is compressed.

    Raises:
        OSError: If there is no connection; ssl.SSLError for TLS.
        WebSocketException: If there is no WebSocket.
    """
    # The library passes on to asyncio what it does not know.
    options: dict[str, Any] = {}
    if address.is_encrypted and ssl_context is not None:
        options["ssl"] = ssl_context
    return await _Dialler(
        address.url,
        additional_headers=headers,
        compression=None,
        open_timeout=None,
        close_timeout=_CLOSE_TIMEOUT_S,
        ping_interval=None,
        max_size=max_frame_bytes,
        logger=_logger,
        **options,
    )
