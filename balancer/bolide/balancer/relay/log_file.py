"""A file that lines are appended to, by somebody who waits for nobody."""

import os
import socket
import stat
import sys

__all__ = ["LogFile"]


class LogFile:
    """Takes what there is place for.

    A disk takes all. A pipe, a terminal or a socket is full when nobody reads it, and would keep
    the loop, and all its clients, until somebody does.

    Args:
        place: File to append to; ``-`` is standard output.

    Raises:
        OSError: If it cannot be opened.
    """

    __slots__ = ("_fd", "_socket")

    def __init__(self, place: str) -> None:
        """Open it."""
        self._socket: socket.socket | None = None
        if place == "-":
            self._fd = _standard_output()
            if stat.S_ISSOCK(os.fstat(self._fd).st_mode):
                self._socket = socket.socket(fileno=self._fd)
        else:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK
            self._fd = os.open(place, flags, 0o640)

    def write(self, data: bytes | bytearray) -> int:
        """Write what finds a place; returns how many bytes did."""
        try:
            if self._socket is not None:
                return self._socket.send(data, socket.MSG_DONTWAIT)
            return os.write(self._fd, data)
        except OSError:  # the disk is full, or nobody reads
            return 0

    def close(self) -> None:
        """Close it."""
        if self._socket is not None:
            self._socket.close()
        else:
            os.close(self._fd)


def _standard_output() -> int:
    """Return standard output, opened anew where that is needed so that it does not block.

    Whether a descriptor blocks is a matter of all processes that have it. A file on a disk is not
    opened anew: it would have a place of its own to write at.
    """
    fd = sys.stdout.fileno()
    mode = os.fstat(fd).st_mode
    if stat.S_ISFIFO(mode) or stat.S_ISCHR(mode):
        try:
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            return os.open(f"/proc/self/fd/{fd}", flags)
        except OSError:
            pass  # another user's pipe
    return os.dup(fd)
