import pytest

from bolide.server.methods.reckoning import Reckoning
from bolide.server.testing import FakeClock

DAY_S = 86_400


class WrongClock(FakeClock):
    """A clock whose time of day may be wrong."""

    def __init__(self) -> None:
        super().__init__(now=100 * DAY_S)
        self.wrong_by_s = 0.0

    def wall_ms(self) -> int:
        return super().wall_ms() + round(self.wrong_by_s * 1000)


@pytest.fixture
def clock() -> WrongClock:
    return WrongClock()


async def test_with_a_right_clock_it_is_the_time_of_day(clock: WrongClock) -> None:
    reckoning = Reckoning(clock, None)
    await clock.advance(DAY_S)
    assert reckoning.now_ms() == clock.wall_ms()


async def test_a_clock_that_jumps_forward_is_followed_slowly(clock: WrongClock) -> None:
    reckoning = Reckoning(clock, None)
    before = reckoning.now_ms()
    clock.wrong_by_s = 10 * DAY_S
    assert reckoning.now_ms() == before
    await clock.advance(DAY_S)
    assert reckoning.now_ms() == before + 2 * DAY_S * 1000
    await clock.advance(20 * DAY_S)
    assert reckoning.now_ms() == clock.wall_ms()


async def test_a_clock_that_goes_back_is_followed_at_once(clock: WrongClock) -> None:
    reckoning = Reckoning(clock, None)
    clock.wrong_by_s = -DAY_S
    assert reckoning.now_ms() == clock.wall_ms()
    clock.wrong_by_s = 0
    await clock.advance(DAY_S / 2)
    assert reckoning.now_ms() == clock.wall_ms() - DAY_S / 2 * 1000


async def test_it_begins_at_the_newest_call(clock: WrongClock) -> None:
    newest = clock.wall_ms() - 5 * DAY_S * 1000
    reckoning = Reckoning(clock, newest)
    assert reckoning.now_ms() == newest
    await clock.advance(DAY_S)
    assert reckoning.now_ms() == newest + 2 * DAY_S * 1000


async def test_a_call_of_the_future_does_not_make_it_one(clock: WrongClock) -> None:
    assert Reckoning(clock, clock.wall_ms() + DAY_S * 1000).now_ms() == clock.wall_ms()
