"""The lock between processes that write to one file.

SQLite's own busy handler sleeps and has no queue: with four writers its longest wait was 0.4 to
1 s where ``flock`` needed 20 ms. The lock file lies beside the database and is never deleted,
because two processes could then hold locks of two files of the same name.
"""

import errno
import fcntl
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["FileLock"]

_LOCKS: Final = Path("/proc/locks")


class FileLock:
    """An exclusive lock of a file; the operating system lets go of it when the process ends."""

    def __init__(self, path: Path) -> None:
        """Open the file, and create it if it does not exist.

        Raises:
            OSError: If it cannot be opened for writing.
        """
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def try_acquire(self) -> bool:
        """Take the lock if it is free."""
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def acquire(self, timeout_s: float) -> None:
        """Wait for the lock.

        Args:
            timeout_s: How long, seconds.

        Raises:
            TimeoutError: If it is not free by then; the lock must be closed then.
        """
        if self.try_acquire():
            return
        acquired = threading.Event()
        self.wait(acquired.set)
        if not acquired.wait(timeout_s):
            holder = self.holder()
            who = "another process" if holder is None else f"process {holder}"
            raise TimeoutError(
                errno.ETIMEDOUT, f"{who} holds its lock and does not go on: continue or end it"
            )

    def wait(self, acquired: Callable[[], None]) -> None:
        """Wait for the lock in a thread of its own, and call ``acquired`` there.

        Closing meanwhile is allowed: the lock is then let go of as soon as it is there.
        """
        # A descriptor of its own for the same lock: the other one may be closed, its number reused.
        descriptor = os.dup(self._descriptor)

        def run() -> None:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            acquired()
            os.close(descriptor)

        threading.Thread(target=run, name="bolide-file-lock", daemon=True).start()

    def holder(self) -> int | None:
        """Return the process that has the lock, as far as Linux tells."""
        file = os.fstat(self._descriptor)
        place = f":{file.st_ino}"
        try:
            locks = _LOCKS.read_text().splitlines()
        except OSError:  # another system, or hidden
            return None
        for line in locks:
            # "1: FLOCK ADVISORY WRITE 123 08:01:456 0 EOF"; who waits has an arrow before FLOCK.
            match line.split():
                case [_, "FLOCK", _, _, pid, where, *_] if where.endswith(place):
                    return int(pid)
                case _:
                    continue
        return None

    def release(self) -> None:
        """Let others have it."""
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)

    def close(self) -> None:
        """Let go of lock and file."""
        os.close(self._descriptor)
