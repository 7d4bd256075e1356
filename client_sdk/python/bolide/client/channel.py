"""A channel as a program uses it: each message once, as it comes.

The server sends a message as a document that goes after some seconds. Its ``_id`` is the name of a
count and a number of it; a number that is left out was a message that this client missed.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

from bolide.core.values import Document

__all__ = ["Channel", "ChannelMessage", "OnMessage"]

_logger = logging.getLogger("bolide.client")

_MOST_COUNTS = 1_000


@dataclass(frozen=True, slots=True)
class ChannelMessage:
    """A message.

    Attributes:
        topic: Its topic.
        message: What was sent; read-only.
        missed: How many messages of this topic were lost on the way just before it; at least.
    """

    topic: str
    message: Any  # of the channel's type
    missed: int = 0


OnMessage: TypeAlias = Callable[[ChannelMessage], object]


class Channel:
    """What all subscriptions hear of one channel; made by :meth:`Client.channel`.

    Attributes:
        name: Its name.
    """

    def __init__(self, name: str, max_messages: int) -> None:
        """Begin without a message.

        Args:
            name: Its name.
            max_messages: Most that wait for one reader of :meth:`messages`.
        """
        self.name = name
        self._max_messages = max_messages
        self._callbacks: list[OnMessage] = []
        self._readers: list[_Reader] = []
        # Name of the count -> last number, and whether everything since then was meant for us.
        self._counts: dict[str, tuple[int, bool]] = {}
        self._is_closed = False

    def on_message(self, callback: OnMessage) -> Callable[[], None]:
        """Call ``callback`` with each message from now on.

        Args:
            callback: If it raises, the log says so, without the text.

        Returns:
            What ends it when it is called.
        """
        # So that one function may be there twice.
        entry: OnMessage = lambda message: callback(message)  # noqa: E731
        self._callbacks.append(entry)

        def stop() -> None:
            if entry in self._callbacks:
                self._callbacks.remove(entry)

        return stop

    async def messages(self) -> AsyncGenerator[ChannelMessage, None]:
        """Yield each message from now on; ends when the client has ended.

        Of a reader that is late, ``max_channel_messages`` wait; beyond, the oldest is dropped and
        counted as missed.
        """
        reader = _Reader(self._max_messages)
        self._readers.append(reader)
        try:
            while True:
                reader.wake.clear()
                while reader.waiting:
                    yield reader.take()
                if self._is_closed:
                    return
                await reader.wake.wait()
        finally:
            self._readers.remove(reader)

    def receive(self, document: Document) -> None:
        """Hand on a document of the collection, if it is a message that did not come before."""
        count, _, number = str(document.get("_id")).partition(".")
        topic = document.get("topic")
        if not number.isdecimal() or not isinstance(topic, str):
            return
        last, is_continued = self._counts.get(count, (0, False))
        if int(number) <= last:
            return
        if count not in self._counts and len(self._counts) >= _MOST_COUNTS:
            del self._counts[next(iter(self._counts))]
        self._counts[count] = (int(number), True)
        missed = int(number) - last - 1 if is_continued else 0
        message = ChannelMessage(topic, document.get("message"), missed)
        for reader in self._readers:
            reader.receive(message)
        for callback in tuple(self._callbacks):
            try:
                callback(message)
            except Exception as error:
                kind = type(error).__name__
                _logger.warning("A callback of the channel %s failed: %s.", self.name, kind)

    def interrupt(self) -> None:
        """Count nothing as missed up to the next message: it may not have been meant for us."""
        self._counts = {count: (last, False) for count, (last, _) in self._counts.items()}

    def close(self) -> None:
        """Let all readers end."""
        self._is_closed = True
        for reader in self._readers:
            reader.wake.set()


class _Reader:
    """One reader, and what waits for it."""

    __slots__ = ("_dropped", "_max_messages", "waiting", "wake")

    def __init__(self, max_messages: int) -> None:
        self.waiting: deque[ChannelMessage] = deque()
        self.wake = asyncio.Event()
        self._max_messages = max_messages
        self._dropped = 0

    def receive(self, message: ChannelMessage) -> None:
        if len(self.waiting) >= self._max_messages:
            self._dropped += 1 + self.waiting.popleft().missed
        self.waiting.append(message)
        self.wake.set()

    def take(self) -> ChannelMessage:
        message = self.waiting.popleft()
        dropped, self._dropped = self._dropped, 0
        return replace(message, missed=message.missed + dropped) if dropped else message
