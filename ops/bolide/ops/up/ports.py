"""Ports of this machine that are free now, for processes that are about to start."""

import socket
from contextlib import ExitStack
from typing import Final

from bolide.ops.node.listener import bind, bind_first_free

__all__ = ["FreePorts"]

_HOST: Final = "127.0.0.1"


class FreePorts:
    """Finds free ports, each one once, for the time of a block.

    They are held until the end of the block, so that none is found twice. They are not handed on:
    who starts later opens them anew.
    """

    def __init__(self) -> None:
        """Hold none yet."""
        self._stack = ExitStack()

    def __enter__(self) -> "FreePorts":
        """Begin."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of all."""
        self._stack.close()

    def exactly(self, host: str, port: int, *, option: str = "port") -> int:
        """Return a port if it is free; 0 is any.

        Args:
            host: Address of this machine.
            port: Number.
            option: Setting that the operator would change.

        Raises:
            ConfigurationError: If it cannot be had.
        """
        return self._hold(bind(host, port, option=option))

    def first_from(self, port: int, host: str = _HOST) -> int:
        """Return the first free port from a number on; from 0 on it is any.

        Raises:
            ConfigurationError: If there is none.
        """
        return self._hold(bind_first_free(host, port))

    def _hold(self, listener: socket.socket) -> int:
        self._stack.callback(listener.close)
        number: int = listener.getsockname()[1]
        return number
