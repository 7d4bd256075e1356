"""A moment happens once; everybody who waits for it learns of it."""

import asyncio

import pytest

from bolide.server.moment import Moment


async def test_all_who_wait_go_on_when_it_happens() -> None:
    moment, called = Moment(), list[str]()
    moment.call(lambda: called.append("first"))
    waiting = [asyncio.create_task(moment.wait()) for _ in range(2)]
    await asyncio.sleep(0)
    assert not moment.is_set()
    moment.set()
    await asyncio.gather(*waiting)
    moment.set()
    assert moment.is_set()
    assert called == ["first"]


async def test_whoever_comes_late_does_not_wait() -> None:
    moment, called = Moment(), list[str]()
    moment.set()
    await moment.wait()
    moment.call(lambda: called.append("late"))
    assert called == ["late"]


async def test_whoever_gives_up_is_forgotten() -> None:
    moment = Moment()
    waiting = asyncio.create_task(moment.wait())
    patient = asyncio.create_task(moment.wait())
    await asyncio.sleep(0)
    waiting.cancel()
    moment.set()
    await patient
    with pytest.raises(asyncio.CancelledError):
        await waiting
