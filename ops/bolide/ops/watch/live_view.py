"""Show a client's documents on the whole terminal, drawn anew as they change."""

import asyncio
from collections.abc import Callable
from contextlib import aclosing, suppress

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from bolide.client import Client
from bolide.client.connection.status import ConnectionState, Status
from bolide.core.values import Document
from bolide.ops.race import first_of
from bolide.ops.terminal.tables import status_text
from bolide.ops.watch.watch import for_each_collection

__all__ = ["LiveView"]

_REDRAW_S = 0.1
"""Least time between two drawings: nobody reads faster, and a slow line carries no more."""

HEAD_LINES = 3
"""Lines above the drawing: title, state of the connection, a blank one."""


class LiveView:
    """A title, the state of the connection, and a drawing of the documents.

    Args:
        console: The terminal.
        title: First line.
        draw: Makes the drawing from the documents by name of their collection.
    """

    def __init__(
        self,
        console: Console,
        title: str,
        draw: Callable[[dict[str, list[Document]]], RenderableType],
    ) -> None:
        """Draw nothing yet."""
        self._console = console
        self._title = title
        self._draw = draw
        self._documents: dict[str, list[Document]] = {}
        self._status = Status(state=ConnectionState.CONNECTING)
        self._status_since = 0.0
        self._changed = asyncio.Event()

    async def show(self, client: Client) -> None:
        """Draw until the client has ended."""

        async def show_collection(name: str) -> None:
            async with aclosing(client.collection(name).find().results()) as results:
                async for documents in results:
                    self._documents[name] = documents
                    self._changed.set()

        await first_of(
            self._redraw(),
            for_each_collection(client, show_collection),
            self._follow_status(client),
        )

    async def _redraw(self) -> None:
        with Live(
            get_renderable=self._picture, console=self._console, screen=True, auto_refresh=False
        ) as live:
            while True:
                self._changed.clear()
                live.refresh()
                await asyncio.sleep(_REDRAW_S)
                # The seconds until the next attempt pass without any change.
                is_waiting = self._status.state is ConnectionState.WAITING
                with suppress(TimeoutError):
                    async with asyncio.timeout(1.0 if is_waiting else None):
                        await self._changed.wait()

    async def _follow_status(self, client: Client) -> None:
        async with aclosing(client.statuses()) as statuses:
            async for status in statuses:
                self._status = status
                self._status_since = asyncio.get_running_loop().time()
                self._changed.set()

    def _picture(self) -> RenderableType:
        elapsed_s = asyncio.get_running_loop().time() - self._status_since
        title = Text(self._title, style="bold", no_wrap=True, overflow="ellipsis")
        status = status_text(self._status, elapsed_s=elapsed_s)
        return Group(title, status, "", self._draw(self._documents))
