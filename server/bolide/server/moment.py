"""An event that happens once, and costs next to nothing while nobody waits for it.

``asyncio.Event`` holds a deque of 700 bytes; a node has several of these for each session.
"""

import asyncio
from collections.abc import Callable

__all__ = ["Moment"]


class Moment:
    """Something that did not happen yet, or did for good."""

    __slots__ = ("_callbacks", "_is_set")

    def __init__(self) -> None:
        """Wait for it."""
        self._is_set = False
        self._callbacks: tuple[Callable[[], object], ...] = ()

    def is_set(self) -> bool:
        """Tell whether it happened."""
        return self._is_set

    def set(self) -> None:
        """Let it have happened; a second time does nothing."""
        self._is_set = True
        callbacks, self._callbacks = self._callbacks, ()
        for callback in callbacks:
            callback()

    def call(self, callback: Callable[[], object]) -> None:
        """Call back when it happens; at once if it did.

        Args:
            callback: Must not raise.
        """
        if self._is_set:
            callback()
        else:
            self._callbacks += (callback,)

    async def wait(self) -> None:
        """Return when it happened."""
        if self._is_set:
            return
        future = asyncio.get_running_loop().create_future()

        def wake() -> None:
            if not future.done():  # whoever waited may have been cancelled
                future.set_result(None)

        self._callbacks += (wake,)
        try:
            await future
        finally:
            self._callbacks = tuple(one for one in self._callbacks if one is not wake)
