"""What waits to be handed to the other nodes: bounded in bytes and in time."""

from collections import deque
from dataclasses import dataclass
from typing import Final

__all__ = ["MESSAGE_LIFE_S", "WaitingMessage", "WaitingMessages"]

MESSAGE_LIFE_S: Final = 10.0
"""How long a message may wait for the other nodes, seconds; nobody wants to know it later."""

_OVERHEAD_BYTES: Final = 64


@dataclass(frozen=True, slots=True)
class WaitingMessage:
    """A message that waits.

    Attributes:
        topic: Its topic.
        payload: Its payload.
        since: When it was published, monotonic seconds.
    """

    topic: str
    payload: bytes
    since: float

    @property
    def size(self) -> int:
        """What it takes, bytes."""
        return len(self.topic) + len(self.payload) + _OVERHEAD_BYTES

    def is_expired(self, now: float) -> bool:
        """Tell whether it waited too long."""
        return self.since <= now - MESSAGE_LIFE_S


class WaitingMessages:
    """Messages in the order in which they were published.

    Args:
        max_bytes: Most room they take together, bytes.
    """

    __slots__ = ("_bytes", "_max_bytes", "_messages")

    def __init__(self, max_bytes: int) -> None:
        """Begin with none."""
        self._messages: deque[WaitingMessage] = deque()
        self._bytes = 0
        self._max_bytes = max_bytes

    def __len__(self) -> int:
        """Count them."""
        return len(self._messages)

    def add(self, message: WaitingMessage) -> bool:
        """Let one wait, and return True; False if there is no room."""
        if self._messages and self._bytes + message.size > self._max_bytes:
            return False
        self._messages.append(message)
        self._bytes += message.size
        return True

    def expire(self, now: float) -> int:
        """Give up those that waited too long; returns how many."""
        expired = 0
        while self._messages and self._messages[0].is_expired(now):
            self._take_first()
            expired += 1
        return expired

    def take(self, max_bytes: int) -> list[WaitingMessage]:
        """Take those that are next: about so many bytes, one message at least if there is one."""
        taken: list[WaitingMessage] = []
        size = 0
        while self._messages and (not taken or size + self._messages[0].size <= max_bytes):
            size += self._messages[0].size
            taken.append(self._take_first())
        return taken

    def _take_first(self) -> WaitingMessage:
        first = self._messages.popleft()
        self._bytes -= first.size
        return first
