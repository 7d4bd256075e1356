import heapq

import pytest

from bolide.balancer.relay.alarm import Alarm


class Clock:
    def __init__(self) -> None:
        self.now = 0.0
        self.rung = 0
        self._alarms: list[tuple[float, int, Alarm]] = []

    def ring_at(self, time: float, alarm: Alarm) -> None:
        self.rung += 1
        heapq.heappush(self._alarms, (time, self.rung, alarm))

    def go_to(self, time: float) -> None:
        while self._alarms and self._alarms[0][0] <= time:
            at, _, alarm = heapq.heappop(self._alarms)
            self.now = at
            alarm.ring(at)
        self.now = time


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def rings() -> list[float]:
    return []


@pytest.fixture
def alarm(clock: Clock, rings: list[float]) -> Alarm:
    return Alarm(clock, lambda: rings.append(clock.now))


def test_it_rings_once_when_its_time_is_over(
    clock: Clock, alarm: Alarm, rings: list[float]
) -> None:
    alarm.set(5)
    clock.go_to(100)
    assert rings == [5]


def test_the_last_time_counts(clock: Clock, alarm: Alarm, rings: list[float]) -> None:
    alarm.set(5)
    clock.go_to(3)
    alarm.set(60)
    clock.go_to(62)
    assert rings == []
    alarm.set(1)
    clock.go_to(100)
    assert rings == [63]


def test_one_that_was_stopped_does_not_ring_until_it_is_set_again(
    clock: Clock, alarm: Alarm, rings: list[float]
) -> None:
    alarm.set(5)
    alarm.stop()
    clock.go_to(10)
    alarm.set(5)
    clock.go_to(20)
    assert rings == [15]


def test_setting_it_later_again_and_again_costs_nothing(
    clock: Clock, alarm: Alarm, rings: list[float]
) -> None:
    for time in range(1_000):
        clock.go_to(time / 100)
        alarm.set(60)
    assert clock.rung == 1
    clock.go_to(200)
    assert rings == [pytest.approx(69.99)]
    assert clock.rung == 2
