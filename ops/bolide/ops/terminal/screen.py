"""The whole terminal, drawn anew when somebody asks for it or changes its size."""

import asyncio
import signal
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live

__all__ = ["Screen"]


class Screen:
    """Takes the terminal for the time of a block, and gives it back as it was.

    Args:
        console: The terminal.
        picture: Makes the drawing for the size that the terminal has now.
    """

    def __init__(self, console: Console, picture: Callable[[], RenderableType]) -> None:
        """Draw nothing yet."""
        self._live = Live(get_renderable=picture, console=console, screen=True, auto_refresh=False)

    def __enter__(self) -> Self:
        """Take it; needs a running event loop."""
        self._live.start()
        asyncio.get_running_loop().add_signal_handler(signal.SIGWINCH, self.draw)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give it back."""
        asyncio.get_running_loop().remove_signal_handler(signal.SIGWINCH)
        self._live.stop()

    def draw(self) -> None:
        """Draw it anew."""
        self._live.refresh()
