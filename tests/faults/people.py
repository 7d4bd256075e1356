"""Who works with the nodes: writers that note what was acknowledged, readers that look."""

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Any

from bolide.client import Client, ConnectionState
from bolide.core.errors import MethodError
from bolide.core.values import Document

__all__ = ["Progress", "Reader", "Writer"]

_UNKNOWN = ("invocation-failed", "write-outcome-unknown")


class Progress:
    """How much all writers together were told is done."""

    def __init__(self) -> None:
        self.acknowledged = 0
        self._news = asyncio.Event()

    def add(self) -> None:
        self.acknowledged += 1
        self._news.set()

    async def reached(self, number: int) -> None:
        """Wait for so many acknowledgements."""
        while self.acknowledged < number:
            self._news.clear()
            await self._news.wait()


class Writer:
    """Calls a method again and again.

    Args:
        name: Its part of the documents.
        client: Its connection.
        retry: Whether the SDK sends a call again that was lost with its connection.
        progress: Where each acknowledgement is counted.

    Attributes:
        acknowledged: Numbers of the calls that were answered.
        unknown: Numbers of the calls whose outcome nobody told.
        errors: What was told instead -> how often.
        retries: As ``retry``.
    """

    def __init__(self, name: str, client: Client, *, retry: bool, progress: Progress) -> None:
        self.name = name
        self.acknowledged: list[int] = []
        self.unknown: list[int] = []
        self.errors: Counter[str] = Counter()
        self.retries = retry
        self._client = client
        self._progress = progress
        self._may_write = asyncio.Event()
        self._may_write.set()
        self._rests = asyncio.Event()

    async def write(self) -> None:
        """Write until cancelled."""
        number = 0
        while True:
            if not self._may_write.is_set():
                self._rests.set()
                await self._may_write.wait()
            number += 1
            try:
                answer = await self._client.call("run", self.name, number, retry=self.retries)
            except MethodError as error:
                if error.error not in _UNKNOWN:
                    raise
                self.unknown.append(number)
                self.errors[str(error.error)] += 1
            else:
                assert answer == number
                self.acknowledged.append(number)
                self._progress.add()

    async def pause(self) -> None:
        """Finish the call that is on its way, and begin no other."""
        self._rests.clear()
        self._may_write.clear()
        await self._rests.wait()

    def go_on(self) -> None:
        """Write again."""
        self._may_write.set()


class Reader:
    """Looks at one publication.

    Args:
        client: Its connection.
        publication: Its name.
        args: Its arguments.
        expected: What of all documents it should show.
    """

    def __init__(
        self,
        client: Client,
        publication: str,
        args: tuple[Any, ...],
        expected: Callable[[list[Document]], list[Document]],
    ) -> None:
        self.publication = publication
        self._args = args
        self._client = client
        self._expected = expected

    async def subscribe(self) -> None:
        await self._client.subscribe(self.publication, *self._args)

    async def caught_up(self) -> None:
        """Wait until it is connected and shows what the server sends, not what was before."""
        async for status in self._client.statuses():
            if status.state is ConnectionState.CONNECTED and not status.catching_up:
                return

    async def agrees(self, documents: list[Document]) -> None:
        """Wait until it shows what it should, of these documents."""
        expected = {document["_id"]: document for document in self._expected(documents)}
        async for shown in self._client.collection("runs").find().results():
            if {document["_id"]: document for document in shown} == expected:
                return
