"""How a program gets a client."""

import ssl as tls
from collections.abc import AsyncGenerator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager

from bolide.client.client import Client
from bolide.client.connection.address import parse_addresses
from bolide.client.connection.backoff import Backoff
from bolide.client.connection.link import LinkOptions
from bolide.client.ddp.call_ids import CallIds
from bolide.client.ddp.conversation import Conversation
from bolide.client.limits import ClientLimits
from bolide.client.preparation import OnConnect
from bolide.core.errors import ConfigurationError

__all__ = ["connect"]


def connect(
    urls: str | Iterable[str],
    *,
    headers: Mapping[str, str] | None = None,
    ssl: tls.SSLContext | None = None,
    wait: bool = True,
    connect_timeout_s: float = 10.0,
    heartbeat_interval_s: float = 17.5,
    heartbeat_timeout_s: float = 15.0,
    catch_up_timeout_s: float = 30.0,
    backoff: Backoff | None = None,
    limits: ClientLimits | None = None,
    client_id: str | None = None,
    on_connect: OnConnect | None = None,
) -> AbstractAsyncContextManager[Client]:
    """Connect to a server for the time of an ``async with``.

    Args:
        urls: ``http(s)://host`` or ``ws(s)://host/path``; a list is tried in order.
        headers: HTTP headers of the WebSocket handshake.
        ssl: For ``wss://`` and ``https://``, such as a context with a hospital's own authority.
        wait: Wait for the first session; False: return at once, subscriptions and calls wait.
        connect_timeout_s: Time for one attempt, and for each address while entering, seconds.
        heartbeat_interval_s: Silence after which the server is pinged, seconds.
        heartbeat_timeout_s: Further silence after which it is given up, seconds.
        catch_up_timeout_s: How long, after a reconnect, one subscription may hold up the others.
        backoff: Delays between attempts.
        limits: What the client may hold.
        client_id: A secret of 16 to 64 characters under which calls run at most once; needed only
            by a program that repeats calls of a former process.
        on_connect: Called with each new connection, the first one too, before anything else is
            sent over it: ``await connection.call("login", token)``. If it raises, the connection
            is given up and nothing is sent.

    Raises:
        ConfigurationError: If an option cannot work.
        ConnectionFailed: While entering, if there is no session in time or a retry cannot help.
    """
    addresses = parse_addresses(urls)
    if ssl is not None and not any(address.is_encrypted for address in addresses):
        raise ConfigurationError("ssl", "a context", "left out, or the address https or wss")
    limits = limits or ClientLimits()
    conversation = Conversation(
        limits=limits,
        heartbeat_interval_s=heartbeat_interval_s,
        heartbeat_timeout_s=heartbeat_timeout_s,
        catch_up_timeout_s=catch_up_timeout_s,
        prepares=on_connect is not None,
    )
    options = LinkOptions(
        addresses=addresses,
        headers=headers or {},
        ssl_context=ssl,
        connect_timeout_s=connect_timeout_s,
        backoff=backoff or Backoff(),
        max_frame_bytes=limits.max_frame_bytes,
    )
    client = Client(conversation, options, call_ids=CallIds(client_id), on_connect=on_connect)
    return _entered(client, wait=wait)


@asynccontextmanager
async def _entered(client: Client, *, wait: bool) -> AsyncGenerator[Client, None]:
    client.open()
    try:
        if wait:
            await client.wait_connected()
        yield client
    finally:
        await client.close()
