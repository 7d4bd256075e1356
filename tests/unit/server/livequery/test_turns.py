import asyncio

import pytest

from bolide.core.minimongo.errors import MatchTimeout
from bolide.core.minimongo.regexes.regex import regex_test
from bolide.server.limits import Limits
from bolide.server.livequery.turns import CHANGE_ALLOWANCE_S, Account, QueryTooExpensive, Turns
from bolide.server.methods.errors import wire_error


class Stopwatch:
    def __init__(self) -> None:
        self.time = 0.0

    def __call__(self) -> float:
        return self.time


def test_what_is_within_the_allowance_is_free() -> None:
    account = Account(0.1)
    for _ in range(1000):
        account.charge(CHANGE_ALLOWANCE_S, 1)
    assert account.excess_s == 0
    assert account.seconds == pytest.approx(2.0)


def test_what_is_beyond_it_is_paid_back_by_cheap_changes() -> None:
    account = Account(0.5)
    account.charge(0.102, 1)
    assert account.excess_s == pytest.approx(0.1)
    account.charge(0.0, 50)
    assert account.excess_s == 0


def test_who_takes_too_much_again_and_again_is_ended() -> None:
    account = Account(0.5)
    for _ in range(5):
        account.charge(0.1, 1)
    with pytest.raises(QueryTooExpensive) as caught:
        account.charge(0.1, 1)
    error = wire_error(caught.value)
    assert error.error == "query-too-expensive"
    assert error.reason is not None


def test_a_process_that_was_stopped_ends_no_query() -> None:
    account = Account(0.5)
    account.charge(60.0, 1)
    assert account.excess_s < 0.2


async def test_what_has_no_time_any_more_waits_for_the_next_turn() -> None:
    stopwatch = Stopwatch()
    turns = Turns(Limits(live_query_turn_ms=100), stopwatch)
    done: list[str] = []

    def work(name: str) -> None:
        done.append(name)
        stopwatch.time += 0.06

    for name in "abcde":
        turns.later(lambda name=name: work(name))  # type: ignore[misc]
    turns.later(lambda: turns.later(lambda: work("again")))
    seen: list[str] = []
    loop = asyncio.get_running_loop()
    for _ in range(6):
        seen.append("".join(done))
        await asyncio.sleep(0)
    assert loop.is_running()
    assert seen[:4] == ["", "ab", "abcd", "abcde"]
    assert done[-1] == "again"


def test_patterns_share_the_time_of_a_match() -> None:
    stopwatch = Stopwatch()
    turns = Turns(None, stopwatch)
    turns.match_deadline = 0.05
    with turns.time_limit:
        assert regex_test("a")("a")
        stopwatch.time = 0.06
        with pytest.raises(MatchTimeout):
            regex_test("a")("a")
