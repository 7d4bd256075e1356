"""Time and answers that a test hands out."""

import asyncio
from collections import deque
from collections.abc import Callable

__all__ = ["Answers", "Time", "turns"]


class Time:
    """Waits until the test lets it go on."""

    def __init__(self) -> None:
        self.waits: deque[tuple[float, asyncio.Future[None]]] = deque()

    async def __call__(self, seconds: float) -> None:
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waits.append((seconds, waiting))
        await waiting

    def pass_one(self) -> float:
        """End the oldest wait; returns how long it was to be."""
        while True:
            seconds, waiting = self.waits.popleft()
            if not waiting.done():
                waiting.set_result(None)
                return seconds


class Answers:
    """A name service that answers what the test put in."""

    def __init__(self, **answers: tuple[str, ...] | OSError) -> None:
        self.answers = answers
        self.asked: list[str] = []

    async def __call__(self, host: str) -> tuple[str, ...]:
        self.asked.append(host)
        answer = self.answers.get(host, OSError("unknown"))
        if isinstance(answer, OSError):
            raise answer
        return answer


async def turns(is_done: Callable[[], bool]) -> None:
    """Let the loop turn until something is so."""
    for _ in range(1000):
        if is_done():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not become so")
