"""One JSON object a line for each request, and for each tunnel when it is over.

Paths are told without their queries, which may hold what nobody should read. Lines are written at
the end of a turn, in one piece that other workers' lines do not cut.
"""

from time import time
from typing import Final

import msgspec

from bolide.balancer.relay.event_loop import EventLoop
from bolide.balancer.relay.log_file import LogFile

__all__ = ["AccessLog", "Entry", "begin_of_line"]

_ATOMIC_BYTES: Final = 65_536
"""About so much is written at once."""
_END_OF_LINE: Final = ord("\n")


class Entry(msgspec.Struct, kw_only=True, omit_defaults=True, gc=False):
    """What is told of a request, besides numbers that are others each time.

    Attributes:
        client: IP address.
        method: As the client wrote it.
        host: It asked for.
        path: Without its query.
        status: Of the response; 0 if it was cut.
        node: Which answered; empty if none did.
    """

    client: str
    method: str = ""
    host: str = ""
    path: str = ""
    status: int
    node: str = ""


_encode: Final = msgspec.json.Encoder().encode


def begin_of_line(entry: Entry) -> bytes:
    """Return the begin of its line, for :meth:`AccessLog.write`."""
    return _encode(entry)[:-1]


class AccessLog:
    """Writes lines: what an :class:`Entry` tells, and numbers.

    They are ``time``, when it ended in seconds since 1970; ``received_bytes``, from the client on
    this connection so far; ``sent_bytes``, the same from the node; and ``duration_ms``, from the
    request's head to the end. ``why`` comes last: why it ended if not well, or how a tunnel did.

    Args:
        loop: Says when a turn ends.
        file: Where to; None is nowhere.

    Attributes:
        is_open: Lines go somewhere.
        lost: How many could not be written.
    """

    def __init__(self, loop: EventLoop, file: LogFile | None) -> None:
        """Begin without lines."""
        self._loop = loop
        self._file = file
        self._lines = bytearray()
        # Of a line that found only half of its place.
        self._rest = b""
        # The time of day in this turn, as it is written; and of which turn that is.
        self._time = b""
        self._turn = -1.0
        self.lost = 0
        self.is_open = file is not None

    def use(self, file: LogFile | None) -> None:
        """Write somewhere else from now on, or nowhere."""
        self.flush()
        self.close()
        self._file = file
        self.is_open = file is not None

    def write(self, begin: bytes, received: int, sent: int, began: float, why: str = "") -> None:
        """Take a line; it is written at the end of the turn.

        Args:
            begin: Of the line, as :func:`begin_of_line` makes it.
            received: Bytes from the client.
            sent: Bytes from the node.
            began: When the request's head came; monotonic, seconds.
            why: A word of ours.
        """
        lines, now = self._lines, self._loop.now
        if not lines:
            self._loop.call_soon(self.flush)
        if now != self._turn:
            self._turn = now
            self._time = b"%.3f" % time()
        lines += b'%b,"time":%b,"received_bytes":%d,"sent_bytes":%d,"duration_ms":%.1f%b}\n' % (
            begin, self._time, received, sent, (now - began) * 1000,
            b',"why":"%b"' % why.encode() if why else b"",
        )  # fmt: skip
        if len(lines) > _ATOMIC_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what was taken; what finds no place is counted as lost: clients come first."""
        lines, file = self._lines, self._file
        if not lines or file is None:
            return
        data = self._rest + lines
        written = file.write(data)
        if written == len(data):
            self._rest = b""
        else:
            # A line that was begun is ended before others are written.
            is_begun = data[written - 1] != _END_OF_LINE if written else bool(self._rest)
            end = data.index(b"\n", written) + 1 if is_begun else written
            self._rest = data[written:end]
            self.lost += data.count(b"\n", end)
        lines.clear()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()
            self._file = None
            self._rest = b""
            self.is_open = False
