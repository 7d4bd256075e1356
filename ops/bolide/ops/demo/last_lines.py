"""What processes said last, for when something goes wrong."""

from collections import deque
from collections.abc import Iterable
from typing import Final, TextIO

from bolide.ops.up.output import Output
from bolide.ops.up.runner import OWN_NAME

__all__ = ["LastLines"]

_KEPT: Final = 200


class LastLines(Output):
    """Writes what the runner says of processes, and keeps what they say themselves.

    Args:
        out: Where to.
        names: Of all processes.
    """

    def __init__(self, out: TextIO, names: Iterable[str]) -> None:
        """Write nothing yet."""
        super().__init__(out, names)
        self._kept = deque[tuple[str, str]](maxlen=_KEPT)

    def say(self, name: str, text: str) -> None:
        """Keep a line; write it if it is the runner's."""
        if name == OWN_NAME:
            super().say(name, text)
        else:
            self._kept.append((name, text))

    def tell_all(self) -> None:
        """Write what was kept."""
        while self._kept:
            super().say(*self._kept.popleft())
