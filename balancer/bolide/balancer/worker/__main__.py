"""Run a worker: ``python -m bolide.balancer.worker FD``, as its supervisor does."""

import gc
import logging
import signal
import socket
import sys

from bolide.balancer.worker.worker import Worker

__all__ = ["main"]


def main() -> None:
    """Run until the supervisor says that it is over; signals to the group are its matter."""
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    sys.unraisablehook = _tell
    control = socket.socket(fileno=int(sys.argv[1]))
    # What there is now stays; what comes is freed by its counts, and has few cycles.
    gc.freeze()
    Worker(control).run()


def _tell(unraisable: "sys.UnraisableHookArgs") -> None:
    """Say what Python does, but nothing of a client that names a host by bytes beyond ASCII.

    Its handshake fails and is counted; a trace for each would let it fill the log.
    """
    if not isinstance(unraisable.exc_value, UnicodeDecodeError):
        sys.__unraisablehook__(unraisable)


if __name__ == "__main__":
    main()
