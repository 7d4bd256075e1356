"""Fences wait for those who still have to act upon what they were told."""

import asyncio
from collections.abc import Collection

from bolide.server.livequery.dependents import Dependents


class Worker:
    def __init__(self, *collections: str) -> None:
        self.collections = set(collections)
        self.is_done = asyncio.Event()

    def depends_on(self, collections: Collection[str]) -> bool:
        return not self.collections.isdisjoint(collections)

    async def settled(self) -> None:
        await self.is_done.wait()


async def test_only_the_busy_ones_that_are_concerned_are_waited_for() -> None:
    dependents = Dependents()
    beds, wards = Worker("beds"), Worker("wards")
    dependents.begin(beds)
    dependents.begin(wards)
    assert len(dependents) == 2
    await dependents.settled({"notes"})
    fence = asyncio.create_task(dependents.settled({"beds", "notes"}))
    anything = asyncio.create_task(dependents.settled())
    await asyncio.sleep(0)
    assert not fence.done()
    beds.is_done.set()
    await fence
    assert not anything.done()
    wards.is_done.set()
    await anything
    dependents.done(beds)
    dependents.done(beds)
    dependents.done(wards)
    assert not dependents
    await dependents.settled()
