"""Watch what a publication sends."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import aclosing
from ssl import SSLContext
from typing import Protocol

from bolide.client import Client, connect
from bolide.core.errors import BolideError
from bolide.core.values import EJSONValue
from bolide.ops.race import first_of

__all__ = ["Display", "SubscriptionOver", "for_each_collection", "watch"]


class SubscriptionOver(BolideError):
    """The server ended a subscription without an error."""

    code = "subscription-over"

    def __str__(self) -> str:
        """Say that nothing more will come."""
        return "The server ended the subscription."


class Display(Protocol):
    """Where a client's documents are shown."""

    async def show(self, client: Client) -> None:
        """Show the documents and the connection until the client has ended."""
        ...


async def watch(
    url: str,
    name: str,
    args: Sequence[EJSONValue],
    display: Display,
    *,
    ssl: SSLContext | None = None,
) -> None:
    """Subscribe and show what comes, through lost connections too, until cancelled.

    Args:
        url: Where the server is.
        name: Name of the publication.
        args: Its arguments.
        display: Where it is shown.
        ssl: For ``https``; None for the authorities of this machine.

    Raises:
        ConfigurationError: If ``url`` is no address.
        ConnectionFailed: If there is no first connection.
        MethodError: If the server refuses the subscription or ends it.
        SubscriptionOver: If the server ends it without an error.
    """

    async def subscribe(client: Client) -> None:
        await client.wait_connected()
        subscription = await client.subscribe(name, *args)
        raise await subscription.wait_ended() or SubscriptionOver

    async def show(client: Client) -> None:
        await display.show(client)
        await asyncio.Event().wait()  # the client has ended: subscribe() tells why

    async with connect(url, wait=False, ssl=ssl) as client:
        await first_of(subscribe(client), show(client))


async def for_each_collection(client: Client, work: Callable[[str], Awaitable[None]]) -> None:
    """Run work for every collection of which a document arrives, until cancelled.

    Args:
        client: Whose collections.
        work: Called once with the name of each.

    Raises:
        Exception: What the work raised.
    """

    async def run(name: str) -> None:
        await work(name)

    try:
        async with asyncio.TaskGroup() as group, aclosing(client.collection_names()) as names:
            async for name in names:
                group.create_task(run(name))
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from None
