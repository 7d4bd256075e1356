"""Ending tasks that use the driver, which may swallow a cancellation."""

import asyncio
from collections.abc import Iterable
from typing import Any, Final

__all__ = ["end"]

_AGAIN_S: Final = 0.1


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks, as often as it takes, and wait until they have ended."""
    running = set(tasks)
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=_AGAIN_S)
