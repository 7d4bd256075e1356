"""A client that tells which collections a server sends, for programs that do not know them."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from bolide.client import Client
from bolide.client.address import parse_addresses
from bolide.client.conversation import Conversation
from bolide.client.events import ConversationEvent, DocumentChange
from bolide.client.link import LinkOptions

__all__ = ["WatchingClient", "watching_client"]


class _WatchingConversation(Conversation):
    """A conversation that remembers the names of collections."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, None] = {}  # as a set that keeps the order
        self.news = asyncio.Event()

    def events_received(self) -> list[ConversationEvent]:
        events = super().events_received()
        for event in events:
            if isinstance(event, DocumentChange) and event.collection not in self.names:
                self.names[event.collection] = None
                self.news.set()
        return events


class WatchingClient(Client):
    """A client as :func:`bolide.client.connect` makes it, with the names of its collections."""

    def __init__(self, url: str) -> None:
        """Prepare a client; :func:`watching_client` opens and closes it.

        Args:
            url: Where the server is.

        Raises:
            ConfigurationError: If it is no address.
        """
        self._watching = _WatchingConversation()
        super().__init__(self._watching, LinkOptions(addresses=parse_addresses(url)))

    async def collection_names(self) -> AsyncGenerator[str]:
        """Yield the name of each collection once, when its first document has arrived.

        It does not end by itself, and there is one reader.
        """
        told = 0
        while True:
            self._watching.news.clear()
            for name in list(self._watching.names)[told:]:
                told += 1
                yield name
            await self._watching.news.wait()


@asynccontextmanager
async def watching_client(url: str) -> AsyncGenerator[WatchingClient]:
    """Connect for the time of the block, which begins before there is a session.

    Args:
        url: Where the server is.

    Raises:
        ConfigurationError: If it is no address.
    """
    client = WatchingClient(url)
    client.open()
    try:
        yield client
    finally:
        await client.close()
