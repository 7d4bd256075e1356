"""Race: the first to end ends all, and nothing is left running."""

import asyncio

import pytest

from bolide.ops.race import first_of


async def _forever(ended: list[str], name: str) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        ended.append(name)


async def test_first_to_end_cancels_the_others() -> None:
    ended: list[str] = []
    await first_of(_forever(ended, "a"), asyncio.sleep(0), _forever(ended, "b"))
    assert ended == ["a", "b"]


async def test_error_of_one_is_raised_after_all_have_ended() -> None:
    ended: list[str] = []

    async def fail() -> None:
        raise LookupError

    with pytest.raises(LookupError):
        await first_of(_forever(ended, "a"), fail())
    assert ended == ["a"]


async def test_cancelling_reaches_all() -> None:
    ended: list[str] = []
    race = asyncio.create_task(first_of(_forever(ended, "a"), _forever(ended, "b")))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    race.cancel()
    with pytest.raises(asyncio.CancelledError):
        await race
    assert ended == ["a", "b"]
