"""Run an app's node in this process."""

import socket
import ssl
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager, closing
from typing import ClassVar, TypeAlias

from starlette.types import ASGIApp

from bolide.core.errors import BolideError, ConfigurationError
from bolide.ops.node.place import own_place
from bolide.ops.node.service import serving
from bolide.ops.node.tls import tls_of
from bolide.server.app import App
from bolide.server.loopback import is_loopback
from bolide.server.node import Node
from bolide.server.registry.announcer import Announcer
from bolide.server.registry.signer import Signer
from bolide.server.settings import Settings
from bolide.server.web.application import NodeApplication
from bolide.server.web.management import create_management
from bolide.server.web.tls.transport import Admit

__all__ = ["NodeNotStarted", "check_exposure", "node_running"]

_Served: TypeAlias = tuple[ASGIApp, socket.socket, ssl.SSLContext | None, Admit | None]


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
    if settings.tls_client_ca and not (settings.public_url or settings.allowed_origins):
        raise ConfigurationError(
            "public_url",
            None,
            "what people type into their browsers, because a balancer passes that name on to the"
            " node (tls_client_ca is set)",
        )
    if (
        settings.management_port is not None
        and settings.tls_client_ca is None
        and not is_loopback(settings.management_host)
    ):
        raise ConfigurationError(
            "management_host",
            settings.management_host,
            "127.0.0.1 or ::1: the management listener answers everybody who reaches it, unless"
            " tls_client_ca is set",
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
    signer = None
    if settings.announce is not None:
        assert settings.tls_cert is not None  # Settings refuse an announcement without
        assert settings.tls_key is not None
        signer = Signer.read(settings.tls_cert, settings.tls_key)
    context = None if tls is None else tls.context
    clients = None if tls is None else tls.clients
    managers = None if tls is None else tls.managers
    served: list[_Served] = [(application, listener, context, clients)]
    if management_listener is not None:
        # First up and last down: whoever asks for health is answered while sessions end.
        management = create_management(application, asks_for_roles=managers is not None)
        own_context = None if managers is None else context
        served.insert(0, (management, management_listener, own_context, managers))
    async with AsyncExitStack() as stack:
        for _, socket_, _, _ in served:
            stack.enter_context(closing(socket_))
        try:
            await stack.enter_async_context(application.lifespan())
        except BolideError:
            raise
        except Exception as error:
            raise NodeNotStarted(error) from error
        for part, socket_, part_tls, admit in served:
            await stack.enter_async_context(
                serving(part, socket_, limits=settings.limits, tls=part_tls, admit=admit)
            )
        node = application.node
        assert node is not None  # inside its lifespan
        if signer is not None:
            announcer = _announcer(node, settings, signer, listener, management_listener)
            await stack.enter_async_context(announcer.announcing())
        yield node


def _announcer(
    node: Node,
    settings: Settings,
    signer: Signer,
    listener: socket.socket,
    management_listener: socket.socket | None,
) -> Announcer:
    host = settings.announce or ""
    shown = f"[{host}]" if ":" in host else host
    addresses = [
        "" if one is None else f"{shown}:{one.getsockname()[1]}"
        for one in (listener, management_listener)
    ]
    return Announcer(
        node.store,
        node.clock,
        signer,
        address=addresses[0],
        management=addresses[1],
        weight=settings.announce_weight,
    )
