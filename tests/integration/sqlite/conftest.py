"""Stores and worker processes on one database file."""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

import pytest

from bolide.server.stores.sqlite import SQLiteStore

WORKER = Path(__file__).with_name("worker.py")


class OpenFile(Protocol):
    """Opens one more store on the file of the test."""

    async def __call__(self, **options: Any) -> SQLiteStore: ...


class Worker:
    """A process of ``worker.py``.

    Attributes:
        process: The process.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def hear(self, word: str) -> str:
        """Read its lines up to one that begins with a word; returns what comes after it."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            first, _, rest = line.decode().strip().partition(" ")
            if first == word:
                return rest
        raise AssertionError(f"The worker ended without saying {word}.")

    async def rest(self, word: str) -> list[str]:
        """Read its lines to the end; returns what comes after a word."""
        assert self.process.stdout is not None
        lines = [line.decode().strip().partition(" ") async for line in self.process.stdout]
        await self.process.wait()
        return [rest for first, _, rest in lines if first == word]

    async def ask(self, word: str) -> str:
        """Send a line; returns what comes after a word in the answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(b"\n")
        await self.process.stdin.drain()
        return await self.hear(word)

    def end_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()


class StartWorker(Protocol):
    """Starts a worker on the file of the test and waits until it is ready."""

    async def __call__(self, *arguments: str) -> Worker: ...


@pytest.fixture
def strace() -> str:
    found = shutil.which("strace")
    if found is None:
        if "CI" in os.environ:
            pytest.fail("strace is missing.")
        pytest.skip("strace is missing: what a process asks of the system was not seen.")
    return found


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ward.db"


@pytest.fixture
async def open_file(path: Path) -> AsyncIterator[OpenFile]:
    opened: list[SQLiteStore] = []

    async def open_another(**options: Any) -> SQLiteStore:
        store = SQLiteStore(path, **options)
        await store.open()
        opened.append(store)
        return store

    yield open_another
    for store in opened:
        await store.close()


@pytest.fixture
async def start_worker(path: Path) -> AsyncIterator[StartWorker]:
    started: list[asyncio.subprocess.Process] = []
    # Not measured: who is killed leaves half a file of measurements.
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")
    }
    environment["PYTHONPATH"] = os.pathsep.join(sys.path)

    async def start(*arguments: str) -> Worker:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            str(WORKER),
            str(path),
            *arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=environment,
        )
        started.append(process)
        worker = Worker(process)
        await worker.hear("ready")
        return worker

    yield start
    for process in started:
        if process.returncode is None:
            # A stopped process is killed too.
            process.kill()
        await process.communicate()
