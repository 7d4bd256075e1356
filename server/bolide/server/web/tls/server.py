"""uvicorn, whose TLS connections are taken by a transport of ours.

Everything else is uvicorn's: HTTP, the WebSocket class it was given, the order of its end. An
application cannot tell the difference.
"""

import asyncio
import socket

# uvicorn's stubs know only asyncio's own servers, and do not know what classes it is given.
from typing import Any, cast

import uvicorn

from bolide.server.limits import Limits
from bolide.server.web.tls.listener import TLSListener
from bolide.server.web.tls.transport import Admit

__all__ = ["TLSServer"]


class TLSServer(uvicorn.Server):
    """A server whose listening sockets speak TLS our way, if its configuration has TLS.

    Args:
        config: uvicorn's.
        limits: Of a handshake, and of how many there are; None for the defaults.
        admit: Who may connect, if its context asks for certificates; None for everybody.
    """

    def __init__(
        self, config: uvicorn.Config, *, limits: Limits | None = None, admit: Admit | None = None
    ) -> None:
        """Wait to be started."""
        super().__init__(config)
        self._limits = limits or Limits()
        self._admit = admit

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to take connections."""
        context = self.config.ssl
        if context is None or sockets is None:
            await super().startup(sockets)
            return
        await super().startup([])
        listeners = [
            TLSListener(
                listener,
                context,
                self._make_protocol,
                backlog=self.config.backlog,
                handshake_timeout_s=self._limits.header_timeout_s,
                max_strays=self._limits.max_connections,
                max_read_ms=self._limits.max_tls_read_ms,
                admit=self._admit,
            )
            for listener in sockets
        ]
        self.servers = cast(Any, listeners)

    def _make_protocol(self) -> asyncio.Protocol:
        protocol: asyncio.Protocol = cast(Any, self.config.http_protocol_class)(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )
        return protocol
