"""A listener that fails harms no other."""

import asyncio
from typing import Any

from bolide.server.broadcast.listeners import Listeners


class Failing:
    def message_received(self, topic: str, payload: bytes) -> None:
        raise RuntimeError(topic)

    def messages_missed(self) -> None:
        raise RuntimeError


class Counting:
    def __init__(self) -> None:
        self.told: list[str] = []

    def message_received(self, topic: str, payload: bytes) -> None:
        self.told.append(topic)

    def messages_missed(self) -> None:
        self.told.append("missed")


async def test_the_others_are_told_all_the_same() -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failures.append(context))
    listeners, last = Listeners(), Counting()
    listeners.add(Failing())
    listeners.add(last)
    listeners.receive("ward/7", b"")
    listeners.miss()
    assert last.told == ["ward/7", "missed"]
    assert len(failures) == 2
