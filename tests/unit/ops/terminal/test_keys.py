"""Keys: one by one, without an echo, and the terminal is as it was afterwards."""

import asyncio
import os
import pty
import termios
from collections.abc import Generator
from io import StringIO
from typing import TextIO

import pytest

from bolide.ops.terminal.keys import keys_pressed


@pytest.fixture
def terminal() -> Generator[tuple[int, TextIO]]:
    """A terminal: our end, and the one that a program sees."""
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as stream:
        yield ours, stream
    os.close(ours)


async def test_a_key_sets_the_event(terminal: tuple[int, TextIO]) -> None:
    ours, theirs = terminal
    before = termios.tcgetattr(theirs)
    with keys_pressed(theirs, "qQ") as pressed:
        assert not termios.tcgetattr(theirs)[3] & termios.ECHO
        os.write(ours, b"x")
        os.write(ours, b"Q")
        async with asyncio.timeout(10):
            await pressed.wait()
    assert termios.tcgetattr(theirs) == before


async def test_other_keys_do_not(terminal: tuple[int, TextIO]) -> None:
    ours, theirs = terminal
    loop = asyncio.get_running_loop()
    seen = asyncio.Event()
    with keys_pressed(theirs, "q") as pressed:
        loop.add_reader(ours, seen.set)  # never: there is no echo
        os.write(ours, "äx".encode())
        for _ in range(5):
            await asyncio.sleep(0)
        loop.remove_reader(ours)
    assert not pressed.is_set()
    assert not seen.is_set()


async def test_a_terminal_that_is_closed_is_not_read_again() -> None:
    ours, theirs = pty.openpty()
    with os.fdopen(theirs) as stream, keys_pressed(stream, "q") as pressed:
        loop = asyncio.get_running_loop()
        os.close(ours)
        for _ in range(5):
            await asyncio.sleep(0)
        assert not loop.remove_reader(theirs)  # there is none any more
        assert not pressed.is_set()


async def test_without_a_terminal_nothing_is_pressed() -> None:
    with keys_pressed(StringIO("q"), "q") as pressed:
        await asyncio.sleep(0)
    assert not pressed.is_set()
