"""Run coroutines until the first of them ends."""

import asyncio
from collections.abc import Coroutine
from typing import Any

__all__ = ["first_of"]


# What the coroutines return does not matter here.
async def first_of(*coroutines: Coroutine[Any, Any, Any]) -> None:
    """Wait for the first to end, then cancel the others and wait for them too.

    Args:
        *coroutines: Started at once, in this order.

    Raises:
        Exception: What one of them raised, the first in order.
    """
    tasks = [asyncio.create_task(coroutine) for coroutine in coroutines]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    for end in ends:
        if isinstance(end, Exception):
            raise end
