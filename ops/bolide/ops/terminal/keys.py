"""Learn of keys that are pressed on the terminal."""

import asyncio
import os
import termios
import tty
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import TextIO

__all__ = ["keys_pressed"]


@contextmanager
def keys_pressed(terminal: TextIO, keys: str) -> Generator[asyncio.Event]:
    """Give an event that is set when a key is pressed, for the time of the block.

    Keys are read one by one and not shown; Ctrl-C is a signal as ever. Where there is no terminal,
    the event is never set.

    Args:
        terminal: Where they are pressed.
        keys: ASCII characters; each sets the event.
    """
    pressed = asyncio.Event()
    if not terminal.isatty():
        yield pressed
        return
    descriptor = terminal.fileno()
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            data = os.read(descriptor, 1024)
        except OSError:  # the terminal was closed; SIGHUP says so too
            data = b""
        if not data:
            loop.remove_reader(descriptor)
        elif set(data) & set(keys.encode("ascii")):
            pressed.set()

    former = termios.tcgetattr(descriptor)
    tty.setcbreak(descriptor)
    loop.add_reader(descriptor, read)
    try:
        yield pressed
    finally:
        loop.remove_reader(descriptor)
        with suppress(termios.error):  # it was closed, so nobody misses anything
            termios.tcsetattr(descriptor, termios.TCSADRAIN, former)
