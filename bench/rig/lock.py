"""Let only one bench measure on this machine at a time."""

import fcntl
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

__all__ = ["only_bench"]

_FILE = Path(tempfile.gettempdir()) / "bolide-bench.rig.lock"


@contextmanager
def only_bench(say: Callable[[str], object], file: Path = _FILE) -> Generator[None]:
    """Hold the machine's lock for the time of the block; wait for it if need be.

    Args:
        say: Takes a line when there is somebody to wait for.
        file: What is locked; of no content, and left behind.
    """
    with file.open("a", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("Another bench runs on this machine; waiting for it to end ...")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
