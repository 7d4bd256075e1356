"""Reloader: a change starts the program again, and leaving ends it."""

import asyncio
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from bolide.ops.node.reloader import run_reloading

PROGRAM = """
import os, signal, socket, sys
peer = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
peer.sendall(open(sys.argv[2]).read().encode() + b"\\n")
if len(sys.argv) == 3:
    signal.pause()
"""


class Visits:
    """What each run of the program says, and when its connection ends."""

    def __init__(self) -> None:
        self.words: asyncio.Queue[str] = asyncio.Queue()
        self.ended: asyncio.Queue[None] = asyncio.Queue()
        self.said: asyncio.Queue[str] = asyncio.Queue()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.words.put_nowait((await reader.readline()).decode().strip())
        with suppress(ConnectionError):
            await reader.read()
        self.ended.put_nowait(None)
        writer.close()


def write(source: Path, text: str) -> None:
    source.write_text(text)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    source = tmp_path / "source.py"
    source.write_text("first")
    return source


@asynccontextmanager
async def reloading(source: Path, *more: str) -> AsyncGenerator[Visits]:
    visits = Visits()
    async with await asyncio.start_server(visits.take, "127.0.0.1", 0) as server:
        port: int = server.sockets[0].getsockname()[1]
        command = (sys.executable, "-c", PROGRAM, str(port), str(source), *more)
        running = asyncio.create_task(
            run_reloading(command, source.parent, say=visits.said.put_nowait)
        )
        try:
            async with asyncio.timeout(20):
                yield visits
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running


async def test_change_of_the_source_starts_the_program_again(source: Path) -> None:
    async with reloading(source) as visits:
        assert await visits.words.get() == "first"
        write(source, "second")
        await visits.ended.get()
        assert await visits.said.get() == "Changed: starting anew."
        assert await visits.words.get() == "second"


async def test_program_that_ended_is_started_again_by_a_change(source: Path) -> None:
    async with reloading(source, "end") as visits:
        assert await visits.words.get() == "first"
        assert await visits.said.get() == "The app ended with status 0; waiting for a change."
        write(source, "mended")
        assert await visits.words.get() == "mended"
        assert await visits.said.get() == "Changed: starting anew."
        assert await visits.said.get() == "The app ended with status 0; waiting for a change."


async def test_leaving_ends_the_program(source: Path) -> None:
    async with reloading(source) as visits:
        await visits.words.get()
    assert visits.ended.qsize() <= 1
    await asyncio.wait_for(visits.ended.get(), 20)
