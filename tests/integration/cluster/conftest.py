"""A node of a cluster on real sockets, and whoever may or may not connect to it."""

import asyncio
import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.cluster_certificates import SERVER, Certificate, CertificateAuthority

from bolide.ops.node.listener import bind
from bolide.ops.node.node_service import check_exposure, node_running
from bolide.server import App, Context, Settings

PUBLIC = "ward.example.org"
_TIMEOUT_S = 20


@dataclass(frozen=True)
class Said:
    """What a client heard of a node.

    Attributes:
        answer: Of HTTP; empty if there was none.
        alert: OpenSSL's name of the alert that ended the handshake, empty if there was none.
        session: For the next connection.
        is_resumed: Whether hands were shaken in short.
    """

    answer: bytes
    alert: str
    session: ssl.SSLSession | None
    is_resumed: bool


class Cluster:
    """A node ``n1`` of the cluster ``ward``, its authority, and a list of who is denied."""

    def __init__(self, folder: Path, *, authorities: str | None = None) -> None:
        self.authority = CertificateAuthority(folder)
        self._authorities = authorities or self.authority.pem
        self.stranger = CertificateAuthority(folder, "stranger")
        self.denied = folder / "denied.txt"
        self.denied.write_text("")
        self.port = 0
        self.management_port = 0

    @asynccontextmanager
    async def running(self, app: App, own: Certificate | None = None) -> AsyncGenerator[None]:
        """Serve an app, with a certificate of this authority unless another is given."""
        own = own or self.authority.issue("bolide://ward/node/n1", purposes=[SERVER])
        settings = Settings(
            store="memory:",
            public_url=f"https://{PUBLIC}",
            cluster="ward",
            tls_cert=own.chain,
            tls_key=own.key,
            tls_client_ca=self._authorities,
            tls_denied=str(self.denied),
            management_host="0.0.0.0",
            management_port=0,
        )
        check_exposure(settings)
        listener, management = bind("127.0.0.1", 0), bind("127.0.0.1", 0)
        self.port = listener.getsockname()[1]
        self.management_port = management.getsockname()[1]
        async with node_running(app, settings, listener, management):
            yield

    def client(
        self, certificate: Certificate | None, version: ssl.TLSVersion | None = None
    ) -> ssl.SSLContext:
        return self.authority.client(certificate, version=version)

    async def ask(
        self,
        context: ssl.SSLContext,
        path: str = "/",
        *,
        method: str = "GET",
        headers: str = "",
        body: str = "",
        port: int | None = None,
        session: ssl.SSLSession | None = None,
    ) -> Said:
        """Send a request, and read all of the answer."""
        request = (
            f"{method} {path} HTTP/1.1\r\nHost: {PUBLIC}\r\nConnection: close\r\n{headers}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )
        where = self.port if port is None else port
        return await asyncio.to_thread(_talk, context, where, request.encode(), session)

    async def wait(
        self,
        context: ssl.SSLContext,
        *,
        port: int | None = None,
        session: ssl.SSLSession | None = None,
    ) -> Said:
        """Say nothing after the handshake, and read until the node ends the connection.

        Whoever writes first may be answered by a reset before an alert is read.
        """
        where = self.port if port is None else port
        return await asyncio.to_thread(_talk, context, where, b"", session)


def _talk(
    context: ssl.SSLContext, port: int, request: bytes, session: ssl.SSLSession | None
) -> Said:
    answer = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=_TIMEOUT_S) as raw:
        try:
            with context.wrap_socket(raw, session=session) as connection:
                try:
                    if request:
                        connection.sendall(request)
                    while data := connection.recv(65_536):
                        answer += data
                except ConnectionError:
                    pass
                return Said(bytes(answer), "", connection.session, bool(connection.session_reused))
        except ssl.SSLError as error:
            return Said(bytes(answer), error.reason or "", None, False)
        except ConnectionError:
            return Said(bytes(answer), "reset", None, False)


@pytest.fixture
def app() -> App:
    app = App()

    async def whoami(ctx: Context) -> str | None:
        assert ctx.session is not None
        return ctx.session.client_address

    app.method("whoami", public=True)(whoami)
    return app


@pytest.fixture
async def cluster(app: App, tmp_path: Path) -> AsyncGenerator[Cluster]:
    cluster = Cluster(tmp_path)
    async with cluster.running(app):
        yield cluster
