"""One loop over epoll.

A socket's handler is called with the events of its socket. It must bear to be called for nothing:
between epoll's answer and the call another handler may have changed what there was to do. A socket
that is closed meanwhile stays open until the end of the turn, so its number cannot be that of a
new one for which the rest of the answer would be taken.
"""

import heapq
import logging
import select
import socket
from collections.abc import Callable
from itertools import count
from time import monotonic
from typing import Final, Protocol, TypeAlias

from bolide.balancer.relay.alarm import Alarm

__all__ = ["EventLoop", "Handler", "Owner", "nothing"]

Handler: TypeAlias = Callable[[int], None]

_EVENTS_PER_TURN: Final = 1024
_TICK_S: Final = 0.25
"""How exact alarms are: they are looked at so often."""

_logger = logging.getLogger("bolide.balancer")


class Owner(Protocol):
    """Whose socket it is."""

    def abort(self) -> None:
        """End at once."""
        ...


def nothing() -> None:
    """Stand for somebody who wants to be told, where nobody does."""


class EventLoop:
    """Calls handlers of sockets, and alarms.

    Attributes:
        now: Monotonic time at the begin of this turn, seconds.
        running: The event whose handler runs, made for this event alone; None between events.
        is_striking: Somebody else is about to shut down the socket of the event that runs.
        wait_for_strike: Called before a socket is closed meanwhile.
    """

    def __init__(self) -> None:
        """Begin with nothing to watch."""
        self.now = monotonic()
        self._epoll = select.epoll()
        self._handlers: dict[int, Handler] = {}
        self._owners: dict[int, Owner] = {}
        self._interest: dict[int, int] = {}
        self._closing: list[socket.socket] = []
        self._alarms: list[tuple[float, int, Alarm]] = []
        self._numbers = count()
        self._soon: list[Callable[[], None]] = []
        self._next_look = 0.0
        self.running: tuple[int, int] | None = None
        self.is_striking = False
        self.wait_for_strike: Callable[[], None] = nothing
        self._is_stopped = False

    def watch(self, fd: int, owner: Owner, handler: Handler, events: int) -> None:
        """Call a handler for events of a socket; its owner is told to abort should that fail."""
        self._handlers[fd] = handler
        self._owners[fd] = owner
        self._interest[fd] = events
        self._epoll.register(fd, events)

    def handle(self, fd: int, handler: Handler) -> None:
        """Call another handler from now on."""
        self._handlers[fd] = handler

    def expect(self, fd: int, events: int) -> None:
        """Wait for other events of a socket that is watched."""
        if self._interest[fd] != events:
            self._interest[fd] = events
            self._epoll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Watch a socket no more; harmless if it is not watched."""
        if self._handlers.pop(fd, None) is not None:
            del self._interest[fd], self._owners[fd]
            self._epoll.unregister(fd)

    def close(self, connection: socket.socket) -> None:
        """Watch a socket no more, and close it at the end of the turn.

        The kernel watches no socket that is closed. One that another process has, too, is not: such
        a one is to be forgotten before.
        """
        fd = connection.fileno()
        if self._handlers.pop(fd, None) is not None:
            del self._interest[fd], self._owners[fd]
        self._closing.append(connection)

    def ring_at(self, time: float, alarm: Alarm) -> None:
        """Let an alarm ring at a time, or a little later."""
        heapq.heappush(self._alarms, (time, next(self._numbers), alarm))

    def call_later(self, seconds: float, call: Callable[[], None]) -> None:
        """Call something once, not before so many seconds have passed."""
        Alarm(self, call).set(seconds)

    def call_soon(self, call: Callable[[], None]) -> None:
        """Call something at the end of this turn."""
        self._soon.append(call)

    def stop(self) -> None:
        """Return from :meth:`run` after this turn."""
        self._is_stopped = True

    def run(self) -> None:
        """Work until :meth:`stop`."""
        poll, handler_of = self._epoll.poll, self._handlers.get
        soon, closing = self._soon, self._closing
        while not self._is_stopped:
            events = poll(_TICK_S, _EVENTS_PER_TURN)
            self.now = now = monotonic()
            for event in events:
                self.running = event
                fd, mask = event
                handler = handler_of(fd)
                if handler is not None:
                    try:
                        handler(mask)
                    except Exception as error:
                        self._fail(fd, error)
            self.running = None
            if now >= self._next_look:
                self._look(now)
            if soon:
                calls, self._soon = soon, []
                soon = self._soon
                for call in calls:
                    self._guard(call)
            if closing:
                if self.is_striking:
                    self.wait_for_strike()
                for connection in closing:
                    connection.close()
                closing.clear()

    def _look(self, now: float) -> None:
        """Let alarms ring."""
        self._next_look = now + _TICK_S
        alarms = self._alarms
        while alarms and alarms[0][0] <= now:
            time, _, alarm = heapq.heappop(alarms)
            try:
                alarm.ring(time)
            except Exception as error:
                self._tell(error)

    def _guard(self, call: Callable[[], None]) -> None:
        try:
            call()
        except Exception as error:
            self._tell(error)

    def _fail(self, fd: int, error: Exception) -> None:
        """Cut the connection that met a mistake of ours: the others' depend on the loop."""
        self._tell(error)
        owner = self._owners.get(fd)
        if owner is not None:
            self._guard(owner.abort)

    def _tell(self, error: Exception) -> None:
        trace = error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        place = f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}" if trace else "?"
        _logger.error("A mistake of the balancer's: %s at %s", type(error).__name__, place)
