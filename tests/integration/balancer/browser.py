"""A browser: it keeps its cookie, and opens a session when it is told to."""

import asyncio
import json
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from tests.integration.balancer.processes import TIMEOUT_S, Balancer, Cluster
from websockets.asyncio.client import ClientConnection, connect

__all__ = ["Browser", "where"]


class Browser:
    """A client with cookies.

    Args:
        cluster: Whose authority it believes.
        balancer: Where it goes.
        context: Its side of TLS, if many share one.
    """

    def __init__(
        self, cluster: Cluster, balancer: Balancer, context: ssl.SSLContext | None = None
    ) -> None:
        self._context = context or ssl.create_default_context(cafile=cluster.authority.pem)
        self.balancer = balancer
        self.cookie = ""

    @asynccontextmanager
    async def session(self) -> AsyncGenerator[ClientConnection]:
        """Open a DDP session."""
        headers = {"Cookie": self.cookie} if self.cookie else {}
        async with (
            asyncio.timeout(TIMEOUT_S),
            connect(
                "wss://localhost/websocket",
                host="127.0.0.1",
                port=self.balancer.ports[0],
                ssl=self._context,
                additional_headers=headers,
            ) as socket,
        ):
            assert socket.response is not None
            for line in socket.response.headers.get_all("Set-Cookie"):
                self.cookie = line.partition(";")[0]
            await socket.send('{"msg":"connect","version":"1","support":["1"]}')
            yield socket

    async def where(self) -> str:
        """Return the name of the node that a new session comes to."""
        async with self.session() as session:
            return await where(session)


async def where(session: ClientConnection) -> str:
    await session.send('{"msg":"method","id":"1","method":"where","params":[]}')
    async for text in session:
        message = json.loads(text)
        if message.get("msg") == "result":
            return str(message["result"])
    raise AssertionError("the session ended")
