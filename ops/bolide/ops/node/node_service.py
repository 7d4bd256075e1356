"""Run an app's node in this process."""

import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import ClassVar

from starlette.types import ASGIApp

from bolide.core.errors import BolideError, ConfigurationError
from bolide.ops.node.place import own_place
from bolide.ops.node.service import serving
from bolide.ops.node.tls import tls_of
from bolide.server.app import App
from bolide.server.loopback import is_loopback
from bolide.server.node import Node
from bolide.server.settings import Settings
from bolide.server.web.application import NodeApplication
from bolide.server.web.management import create_management

__all__ = ["NodeNotStarted", "check_exposure", "node_running"]


class NodeNotStarted(BolideError):
    """A start-up hook failed; ``__cause__`` is what it raised."""

    code: ClassVar[str] = "node-not-started"

    def __init__(self, cause: Exception) -> None:
        """Keep what was raised; its text may hold data and is not repeated."""
        super().__init__()
        self.__cause__ = cause

    def __str__(self) -> str:
        """Say what was raised and where in the app."""
        cause = self.__cause__
        assert cause is not None
        return f"The node did not start: {type(cause).__name__} in {own_place(cause)}."


def check_exposure(settings: Settings) -> None:
    """Refuse to carry patient data over a network in plain text, or under any name.

    Args:
        settings: Of the node that is about to listen.

    Raises:
        ConfigurationError: If a listener would be open to other machines; it says what to do.
    """
    if settings.tls_cert is None and not is_loopback(settings.host):
        raise ConfigurationError(
            "host",
            settings.host,
            "127.0.0.1 or ::1 without TLS, because patient data must not cross a network in plain"
            " text: set tls_cert and tls_key, or let a TLS proxy on this machine connect to it;"
            " and set public_url",
        )
    if not (settings.public_url or settings.allowed_origins or is_loopback(settings.host)):
        raise ConfigurationError(
            "public_url",
            None,
            f"what people type into their browsers: host is {settings.host}, and a node that"
            " others reach answers to no other name",
        )
    if settings.management_port is not None and not is_loopback(settings.management_host):
        raise ConfigurationError(
            "management_host",
            settings.management_host,
            "127.0.0.1 or ::1: the management listener answers everybody who reaches it",
        )


@asynccontextmanager
async def node_running(
    app: App,
    settings: Settings,
    listener: socket.socket,
    management_listener: socket.socket | None = None,
) -> AsyncGenerator[Node]:
    """Serve an app for the time of the block, which begins when its node takes sessions.

    Args:
        app: What to serve.
        settings: How.
        listener: Listening socket of the node; closed at the end.
        management_listener: Listening socket for health and metrics; closed at the end.

    Raises:
        ConfigurationError: If the store or the TLS files cannot be used.
        NodeNotStarted: If a start-up hook fails.
    """
    application = NodeApplication.of_app(app, settings)
    tls = tls_of(settings)
    context = None if tls is None else tls.context
    served: list[tuple[ASGIApp, socket.socket, ssl.SSLContext | None]] = [
        (application, listener, context)
    ]
    if management_listener is not None:
        # First up and last down: whoever asks for health is answered while sessions end.
        served.insert(0, (create_management(application), management_listener, None))
    async with AsyncExitStack() as stack:
        for _, socket_, _ in served:
            stack.enter_context(closing(socket_))
        try:
            await stack.enter_async_context(application.lifespan())
        except BolideError:
            raise
        except Exception as error:
            raise NodeNotStarted(error) from error
        for part, socket_, part_tls in served:
            await stack.enter_async_context(
                serving(part, socket_, limits=settings.limits, tls=part_tls)
            )
        node = application.node
        assert node is not None  # inside its lifespan
        yield node
