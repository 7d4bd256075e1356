"""Ping a peer at intervals and give it up when no answer comes."""

import asyncio
import secrets
from typing import Protocol

__all__ = ["KeepAlive", "Pinged"]

_PAYLOAD_BYTES = 4


class Pinged(Protocol):
    """The connection that is kept alive."""

    @property
    def is_reading(self) -> bool:
        """Whether an answer would be seen."""
        ...

    @property
    def is_writing(self) -> bool:
        """Whether the peer keeps up with what is written."""
        ...

    def send_ping(self, payload: bytes) -> None:
        """Send a ping."""
        ...

    def give_up(self) -> None:
        """Close: no answer came in time."""
        ...


class KeepAlive:
    """The pings of one connection, until :meth:`stop`.

    Args:
        pinged: The connection.
        loop: For the time.
        interval_s: From an answer to the next ping, seconds.
        timeout_s: How long an answer may take, seconds; None waits for none.
    """

    __slots__ = ("_interval_s", "_loop", "_payload", "_pinged", "_timeout_s", "_timer")

    def __init__(
        self,
        pinged: Pinged,
        loop: asyncio.AbstractEventLoop,
        interval_s: float,
        timeout_s: float | None,
    ) -> None:
        """Begin with an interval."""
        self._pinged = pinged
        self._loop = loop
        self._interval_s = interval_s
        self._timeout_s = timeout_s
        self._payload: bytes | None = None
        self._timer = loop.call_later(interval_s, self._ping)

    def pong_received(self, payload: bytes) -> None:
        """Take an answer; one that belongs to no ping of ours counts for nothing."""
        if payload == self._payload:
            self._payload = None
            if self._timeout_s:
                self._timer.cancel()
                self._timer = self._loop.call_later(self._interval_s, self._ping)

    def stop(self) -> None:
        """Send no more pings."""
        self._timer.cancel()

    def _ping(self) -> None:
        # Without a limit of time, pings would pile up for a peer that does not read.
        if self._timeout_s or self._pinged.is_writing:
            self._payload = secrets.token_bytes(_PAYLOAD_BYTES)
            self._pinged.send_ping(self._payload)
        if self._timeout_s:
            self._timer = self._loop.call_later(self._timeout_s, self._late)
        else:
            self._timer = self._loop.call_later(self._interval_s, self._ping)

    def _late(self) -> None:
        if self._pinged.is_reading:
            self._pinged.give_up()
        else:  # the answer may be among what is not read
            assert self._timeout_s is not None  # or nobody would be late
            self._timer = self._loop.call_later(self._timeout_s, self._late)
