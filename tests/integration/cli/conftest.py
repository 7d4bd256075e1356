"""The ``bolide`` command in a process of its own, with pipes or with a terminal."""

import asyncio
import fcntl
import os
import pty
import re
import signal
import struct
import sys
import termios
from collections.abc import AsyncGenerator, Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

import pytest

TIMEOUT_S = 30 * float(os.environ.get("BOLIDE_TESTS_TIMEOUT_FACTOR", "1"))
ROWS, COLUMNS = 40, 100


class Command:
    """A running command and what it has said.

    Attributes:
        out: Standard output; all output, if it runs in a terminal.
        err: Standard error.
    """

    def __init__(self, process: asyncio.subprocess.Process, terminal: int | None = None) -> None:
        self.out = ""
        self.err = ""
        self.process = process
        self._terminal = terminal
        self._news = asyncio.Event()

    def take(self, stream: str, data: bytes) -> None:
        setattr(self, stream, getattr(self, stream) + data.decode())
        self._news.set()

    async def end(self) -> None:
        """Learn that nothing more will be said."""
        await self.process.wait()
        self._news.set()

    async def said(self, pattern: str, *, stream: str = "out") -> re.Match[str]:
        """Wait until the command has said something; return it."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                self._news.clear()
                found = re.search(pattern, getattr(self, stream))
                if found is not None:
                    return found
                assert self.process.returncode is None, f"it ended: {self.out}{self.err}"
                await self._news.wait()

    async def more(self) -> None:
        """Wait until it says something."""
        self._news.clear()
        assert self.process.returncode is None, f"it ended: {self.out}{self.err}"
        await self._news.wait()

    async def url(self) -> str:
        """Wait until a node listens; return where."""
        return (await self.said(r"https?://127\.0\.0\.1:\d+(?=/)"))[0]

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def type(self, keys: str) -> None:
        """Press keys, if it runs in a terminal."""
        assert self._terminal is not None
        os.write(self._terminal, keys.encode())

    async def status(self) -> int:
        """Wait for its end; return the exit status."""
        async with asyncio.timeout(TIMEOUT_S):
            return await self.process.wait()


Start: TypeAlias = Callable[..., Awaitable[Command]]


@pytest.fixture
async def bolide(tmp_path: Path) -> AsyncGenerator[Start]:
    """Start ``bolide`` in a folder, the test's own one; ``terminal=True`` gives it a terminal."""
    commands: list[Command] = []
    readers: list[asyncio.Task[None]] = []

    async def start(*args: str, terminal: bool = False, folder: Path = tmp_path) -> Command:
        words = (sys.executable, "-m", "bolide.ops", *args)
        environment = {**os.environ, "TERM": "xterm-256color", "PYTHONUNBUFFERED": "1"}
        if terminal:
            ours, theirs = pty.openpty()
            fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
            process = await asyncio.create_subprocess_exec(
                *words, cwd=folder, env=environment, stdin=theirs, stdout=theirs, stderr=theirs
            )
            os.close(theirs)
            command = Command(process, ours)
            readers.append(asyncio.create_task(_read_terminal(command, ours)))
        else:
            process = await asyncio.create_subprocess_exec(
                *words,
                cwd=folder,
                env=environment,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            command = Command(process)
            for name, stream in (("out", process.stdout), ("err", process.stderr)):
                assert stream is not None
                readers.append(asyncio.create_task(_read_pipe(command, name, stream)))
        commands.append(command)
        return command

    yield start
    for command in commands:
        if command.process.returncode is None:
            command.send(signal.SIGTERM)
            await command.status()
    await asyncio.gather(*readers)


async def _read_pipe(command: Command, name: str, stream: asyncio.StreamReader) -> None:
    while data := await stream.read(65_536):
        command.take(name, data)
    await command.end()


async def _read_terminal(command: Command, terminal: int) -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()

    def read() -> None:
        try:
            data = os.read(terminal, 65_536)
        except OSError:  # the other side is closed
            data = b""
        if data:
            command.take("out", data)
        else:
            ended.set()
            loop.remove_reader(terminal)

    loop.add_reader(terminal, read)
    await ended.wait()
    os.close(terminal)
    await command.end()
