"""A connection that stopped being HTTP: bytes pass untouched, both ways."""

from collections.abc import Callable
from select import EPOLLIN, EPOLLOUT
from ssl import SSLZeroReturnError

from bolide.balancer.relay.event_loop import Handler, nothing
from bolide.balancer.relay.link import AGAIN, BUFFER, VIEW, Link

__all__ = ["Tunnel"]


class Tunnel:
    """Passes on what comes.

    Theory of operation. What one side does not take stops the reading of the other until it did.
    The end of one direction is passed on when everything before it was; the tunnel is over when
    both have ended, or when a socket fails.

    Args:
        front: To the client.
        back: To the node.
        on_end: Called once, with why: the name of the side that ended it first, and how.
    """

    __slots__ = (
        "_back",
        "_first",
        "_front",
        "_on_end",
        "_owes_end",
        "_seen",
        "idle_checks",
    )

    def __init__(self, front: Link, back: Link, on_end: Callable[[str], None]) -> None:
        """Begin to pass on; nothing may be left of what was read before."""
        self._front = front
        self._back = back
        self._on_end: Callable[[str], None] | None = on_end
        self._first = ""
        self._owes_end = False
        self._seen = (0, 0, 0, 0)
        self.idle_checks = 0
        for source, sink, name in ((front, back, "client"), (back, front, "node")):
            source.on_closed = self._closing(name)
            source.on_drained = self._going_on(sink, source)
            source.handle(self._pump(source, sink))
            source.is_reading = sink.pending is None

    def is_stuck(self) -> bool:
        """Tell whether one side took nothing of what waits for it since this was asked before.

        Also counts in :attr:`idle_checks` how often nothing had moved at all.
        """
        front, back = self._front, self._back
        waiting = len(front.pending or b""), len(back.pending or b"")
        seen, self._seen = self._seen, (front.received, back.received, *waiting)
        self.idle_checks = self.idle_checks + 1 if seen == self._seen else 0
        return any(now and now == before for now, before in zip(waiting, seen[2:], strict=True))

    def end(self, why: str) -> None:
        """End both sides."""
        on_end, self._on_end = self._on_end, None
        if on_end is None:
            return
        for link in (self._front, self._back):
            link.on_closed = nothing
            link.end()
        on_end(why)

    def _pump(self, source: Link, sink: Link) -> Handler:
        """Make the handler of a side's events: all that a message costs is in here."""
        read, write = source.read, sink.write
        buffer, view, size = BUFFER, VIEW, len(BUFFER)

        def on_events(events: int) -> None:
            if events != EPOLLIN and not self._is_readable(source, events):
                return
            try:
                count = read(size, buffer)
            except AGAIN:
                return
            except SSLZeroReturnError:  # the end, after we had ended our direction
                count = 0
            except OSError:
                source.abort()
                return
            if not count:
                self._end_of(source, sink)
                return
            source.received += count
            sent = 0
            if sink.pending is None:
                try:
                    sent = write(view[:count])
                    if sent == count:
                        return
                except AGAIN:
                    pass
                except OSError:
                    sink.abort()
                    return
            sink.send(view[sent:count])
            if sink.pending is not None:
                source.is_reading = False

        return on_events

    @staticmethod
    def _is_readable(source: Link, events: int) -> bool:
        """Do what else there is to do for events; returns whether there is something to read."""
        if events & EPOLLOUT:
            source.on_other_events(events)
            if events == EPOLLOUT:
                return False
        if not source.is_reading:
            # EPOLLHUP or EPOLLERR, which come unasked.
            source.abort()
            return False
        return True

    def _going_on(self, source: Link, sink: Link) -> Callable[[], None]:
        def drained() -> None:
            if source.has_ended:
                self._pass_end_on(source, sink)
                return
            source.is_reading = True
            if self._owes_end:
                self._owes_end = False
                self._pass_end_on(sink, source)

        return drained

    def _end_of(self, source: Link, sink: Link) -> None:
        source.is_reading = False
        source.has_ended = True
        if not sink.has_ended:
            self._first = "client" if source is self._front else "node"
        if sink.pending is None:
            self._pass_end_on(source, sink)

    def _pass_end_on(self, source: Link, sink: Link) -> None:
        if sink.has_ended:
            self.end(self._first)
            return
        self._read_all(sink, source)
        if self._on_end is None or sink.has_ended:
            return
        if sink.is_reading:
            sink.end_writing()
        else:  # its own direction is stuck: when that goes on
            self._owes_end = True

    def _read_all(self, source: Link, sink: Link) -> None:
        """Read what came, for the end of our direction must not meet it."""
        while source.is_reading and not source.has_ended and not source.is_closed:
            count = source.receive()
            if count is None:
                return
            if not count:
                self._end_of(source, sink)
                return
            sink.send(VIEW[:count])
            if sink.pending is not None:
                source.is_reading = False

    def _closing(self, name: str) -> Callable[[], None]:
        return lambda: self.end(f"{name} cut")
