"""What several processes say, line by line, each with its name in front."""

import asyncio
from collections.abc import Iterable
from datetime import datetime
from typing import Final, TextIO

__all__ = ["Output"]

_MAX_LINE_BYTES: Final = 65_536
_READ_BYTES: Final = 65_536
# Cyan, yellow, green, magenta, blue, red; then the bright ones.
_COLOURS: Final = (36, 33, 32, 35, 34, 31, 96, 93, 92, 95, 94, 91)
_OWN_COLOUR: Final = 37


class Output:
    """Writes lines as ``12:34:56 node1    | text``.

    Args:
        out: Where to; a terminal gets colours.
        names: Of all processes; the longest makes the width.
    """

    def __init__(self, out: TextIO, names: Iterable[str]) -> None:
        """Write nothing yet."""
        self._out = out
        names = list(names)
        self._width = max(map(len, names), default=0)
        is_terminal = out.isatty()
        self._colours = (
            {name: _COLOURS[at % len(_COLOURS)] for at, name in enumerate(names)}
            if is_terminal
            else {}
        )
        self._is_coloured = is_terminal

    def say(self, name: str, text: str) -> None:
        """Write one line.

        Args:
            name: Whose.
            text: Without the end of line.
        """
        head = f"{datetime.now():%H:%M:%S} {name:<{self._width}} | "
        if self._is_coloured:
            head = f"\x1b[{self._colours.get(name, _OWN_COLOUR)}m{head}\x1b[0m"
        print(f"{head}{text}", file=self._out, flush=True)

    async def follow(self, name: str, stream: asyncio.StreamReader) -> None:
        """Write what comes from a process until it ends; lines that are too long are cut in two.

        Args:
            name: Whose.
            stream: Both of its outputs.
        """
        rest = b""
        while data := await stream.read(_READ_BYTES):
            *whole, rest = (rest + data).split(b"\n")
            for line in whole:
                self._take(name, line)
            while len(rest) > _MAX_LINE_BYTES:
                self._take(name, rest[:_MAX_LINE_BYTES])
                rest = rest[_MAX_LINE_BYTES:]
        if rest:
            self._take(name, rest)

    def _take(self, name: str, line: bytes) -> None:
        self.say(name, line.decode("utf-8", "replace").rstrip("\r"))
