"""Turns of the event loop: for tests of what no event tells of."""

import asyncio

__all__ = ["yield_once"]


async def yield_once() -> None:
    """Let every task that may run take a step; one that was just started reaches its first wait."""
    await asyncio.sleep(0)
