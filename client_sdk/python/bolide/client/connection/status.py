"""What a client tells about its connection."""

from dataclasses import dataclass
from enum import Enum

__all__ = ["ConnectionState", "Status"]


class ConnectionState(Enum):
    """Where a client stands between its first attempt and its end."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    WAITING = "waiting"
    CLOSED = "closed"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        """Whether the client has ended."""
        return self in (ConnectionState.CLOSED, ConnectionState.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """The connection at one moment; a change makes a new one.

    Attributes:
        state: Where the client stands.
        reason: One sentence why it is not connected, or None.
        retry_in_s: In ``WAITING``, the delay before the next attempt in seconds, counted from
            the moment when the waiting began; otherwise None.
        attempts: Failed attempts since the last good connection.
        catching_up: It is connected again, but collections still show what was known before.
        late_because: Why what is shown may be late although it is connected, or None.
        has_new_build: The server serves another build than at the first connection; a program
            that was made for the former one may say that an update is available.
    """

    state: ConnectionState
    reason: str | None = None
    retry_in_s: float | None = None
    attempts: int = 0
    catching_up: bool = False
    late_because: str | None = None
    has_new_build: bool = False
