"""A process with a shell's command line, in a group of its own."""

import asyncio
import os
import signal
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

from bolide.ops.up.output import Output
from bolide.ops.up.procfile import Line

__all__ = ["Process"]


class Process:
    """A running process; made by :meth:`start`.

    A terminal's Ctrl-C does not reach it: whoever started it says when it ends. Signals go to its
    group, because the shell may have started others.

    Attributes:
        pid: Its number, and that of its group.
    """

    def __init__(self, process: asyncio.subprocess.Process, following: asyncio.Task[None]) -> None:
        """Keep what was started."""
        self.pid = process.pid
        self._process = process
        self._following = following

    @classmethod
    async def start(cls, line: Line, environment: Mapping[str, str], output: Output) -> Self:
        """Start a process.

        Args:
            line: Its command.
            environment: Of the process.
            output: Takes what it says.
        """
        process = await asyncio.create_subprocess_exec(
            *("/bin/sh", "-c", line.command),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            start_new_session=True,
        )
        assert process.stdout is not None  # a pipe
        return cls(process, asyncio.create_task(output.follow(line.name, process.stdout)))

    async def wait(self) -> int:
        """Wait until it has ended and its group has said everything; returns its exit status."""
        status = await self._process.wait()
        # Whoever is left of the group has lost its parent, and may hold the pipe open.
        self.signal(signal.SIGKILL)
        await self._following
        return status

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the group, if there is still one."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)
