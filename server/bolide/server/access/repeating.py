"""Transactions that are run again when another one is in the way."""

import asyncio
import random
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Final, TypeVar

from bolide.server.stores.base import TransactionConflict

__all__ = ["REPEAT_FOR_S", "in_transaction"]

REPEAT_FOR_S: Final = 20.0
"""How long a transaction is run again before the conflict is told, seconds."""
_FIRST_PAUSE_S: Final = 0.005
_LAST_PAUSE_S: Final = 0.5

_Value = TypeVar("_Value")


async def in_transaction(
    begin: Callable[[], AbstractAsyncContextManager[None]],
    work: Callable[[], Awaitable[_Value]],
) -> _Value:
    """Run work in a transaction, again and again until no other one is in the way.

    Args:
        begin: Begins a transaction, around a block.
        work: Reads and writes; does nothing that cannot be done twice.

    Returns:
        What the work returned in the run that was committed.

    Raises:
        TransactionConflict: If others were in the way for :data:`REPEAT_FOR_S`.
    """
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + REPEAT_FOR_S, _FIRST_PAUSE_S
    while True:
        try:
            async with begin():
                return await work()
        except TransactionConflict:
            if loop.time() + pause >= deadline:
                raise
        await asyncio.sleep(pause * random.uniform(0.5, 1.5))
        pause = min(2 * pause, _LAST_PAUSE_S)
