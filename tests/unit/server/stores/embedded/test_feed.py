import asyncio
from collections.abc import Collection
from typing import Any

import pytest

from bolide.core.errors import StateError
from bolide.server.stores.base import ChangeBatch, Position
from bolide.server.stores.feed import Feed


class Listener:
    def __init__(self) -> None:
        self.heard: list[Any] = []

    def changes_received(self, batch: ChangeBatch) -> None:
        self.heard.append(batch.position)

    def history_lost(self, position: Position) -> None:
        self.heard.append(("lost", position))


class Failing(Listener):
    def changes_received(self, batch: ChangeBatch) -> None:
        raise RuntimeError("rubbish")


class Leaving(Listener):
    def __init__(self, feed: Feed, other: Listener) -> None:
        super().__init__()
        self.feed, self.other = feed, other

    def changes_received(self, batch: ChangeBatch) -> None:
        self.feed.unlisten(self.other)


def test_listeners_hear_batches_and_losses_in_order() -> None:
    feed, listener = Feed(3), Listener()
    feed.listen(listener)
    feed.deliver(ChangeBatch(5, ()))
    feed.lose_history(9)
    feed.unlisten(listener)
    feed.unlisten(listener)
    feed.deliver(ChangeBatch(10, ()))
    assert listener.heard == [5, ("lost", 9)]
    assert feed.position == 10


def test_who_was_taken_off_during_a_batch_does_not_hear_it() -> None:
    feed, late = Feed(0), Listener()
    feed.listen(Leaving(feed, late))
    feed.listen(late)
    feed.deliver(ChangeBatch(1, ()))
    assert late.heard == []


async def test_a_failing_listener_is_reported_and_the_others_still_hear() -> None:
    reports: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, report: reports.append(report))
    feed, good = Feed(0), Listener()
    feed.listen(Failing())
    feed.listen(good)
    feed.deliver(ChangeBatch(1, ()))
    assert good.heard == [1]
    assert feed.position == 1
    assert [str(report["exception"]) for report in reports] == ["rubbish"]


async def test_waiting_ends_when_the_position_is_reached() -> None:
    feed = Feed(0)
    await feed.reached(0)
    near = asyncio.ensure_future(feed.reached(2))
    far = asyncio.ensure_future(feed.reached(4))
    gone = asyncio.ensure_future(feed.reached(2))
    await asyncio.sleep(0)
    gone.cancel()
    feed.deliver(ChangeBatch(1, ()))
    feed.deliver(ChangeBatch(3, ()))
    await near
    assert not far.done()
    feed.lose_history(4)
    await far


async def test_closing_ends_all_waiting() -> None:
    feed = Feed(0)
    waiting = [asyncio.ensure_future(feed.reached(2)) for _ in range(2)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    feed.close()
    with pytest.raises(StateError, match="closed"):
        await waiting[1]


class Selective(Listener):
    def wants_update(self, collection: str, id: Any, paths: Collection[str]) -> bool:
        return "bed" in paths


def test_an_update_is_wanted_if_one_listener_wants_it_or_cannot_tell() -> None:
    feed, plain = Feed(0), Listener()
    assert not feed.wants_update("beds", 1, ["bed"])
    feed.listen(Selective())
    assert feed.wants_update("beds", 1, ["ward", "bed"])
    assert not feed.wants_update("beds", 1, ["ward"])
    feed.listen(plain)
    assert feed.wants_update("beds", 1, ["ward"])
    feed.unlisten(plain)
    assert not feed.wants_update("beds", 1, ["ward"])


def test_who_was_taken_off_wants_no_update() -> None:
    feed, listener = Feed(0), Selective()
    feed.listen(listener)
    feed.unlisten(listener)
    assert not feed.wants_update("beds", 1, ["bed"])
