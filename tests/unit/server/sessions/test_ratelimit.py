from typing import Literal

import pytest

from bolide.core.errors import MethodError
from bolide.server.sessions.ratelimit import RateLimiter, RateLimitRule, Request


def request(
    name: str = "login",
    connection: str = "c1",
    type: Literal["method", "subscription"] = "method",
) -> Request:
    return Request(
        type=type, name=name, user_id=None, client_address="10.0.0.1", connection_id=connection
    )


def rule_of() -> RateLimitRule:
    return RateLimitRule(
        type="method",
        name="login",
        connection_id=lambda _: True,
        num_requests=2,
        interval_s=10,
    )


def test_requests_over_the_limit_are_refused_with_meteors_text() -> None:
    limiter = RateLimiter([rule_of()], now=0.0)
    limiter.check(request(), 1.0)
    limiter.check(request(), 1.0)
    with pytest.raises(MethodError) as caught:
        limiter.check(request(), 1.5)
    assert caught.value.error == "too-many-requests"
    assert caught.value.reason == (
        "Error, too many requests. Please slow down. You must wait 9 seconds before trying again."
    )
    assert caught.value.details == {"timeToReset": 8500}


def test_another_interval_begins_anew() -> None:
    limiter = RateLimiter([rule_of()], now=0.0)
    for now in (1.0, 2.0, 10.0, 11.0):
        limiter.check(request(), now)
    with pytest.raises(MethodError):
        limiter.check(request(), 12.0)


def test_each_combination_is_counted_by_itself() -> None:
    limiter = RateLimiter([rule_of()], now=0.0)
    for connection in ("c1", "c1", "c2", "c2"):
        limiter.check(request(connection=connection), 1.0)
    with pytest.raises(MethodError):
        limiter.check(request(connection="c2"), 1.0)


@pytest.mark.parametrize("other", [request("logout"), request(type="subscription")])
def test_what_does_not_fit_is_not_counted(other: Request) -> None:
    limiter = RateLimiter([rule_of()], now=0.0)
    for _ in range(20):
        limiter.check(other, 1.0)


def test_a_rule_without_matchers_counts_everything_together() -> None:
    limiter = RateLimiter([RateLimitRule(num_requests=1)], now=0.0)
    limiter.check(request("a"), 0.0)
    with pytest.raises(MethodError):
        limiter.check(request("b", "c2", "subscription"), 0.5)


def test_the_longest_wait_is_told() -> None:
    rules = [
        RateLimitRule(num_requests=1, interval_s=1),
        RateLimitRule(num_requests=1, interval_s=60),
    ]
    limiter = RateLimiter(rules, now=0.0)
    limiter.check(request(), 0.0)
    with pytest.raises(MethodError) as caught:
        limiter.check(request(), 0.0)
    assert caught.value.details == {"timeToReset": 60_000}


def test_without_rules_nothing_is_refused() -> None:
    limiter = RateLimiter([], now=0.0)
    for _ in range(100):
        limiter.check(request(), 0.0)


# Counting together


class Common:
    """What a Redis would hold: the totals of all nodes by rule, interval and values."""

    def __init__(self, *limiters: RateLimiter) -> None:
        self._limiters = limiters
        self.totals: dict[tuple[object, ...], int] = {}

    def exchange(self) -> None:
        for limiter in self._limiters:
            for untold in limiter.take_untold(100):
                key = (untold.rule, untold.interval, untold.values)
                self.totals[key] = self.totals.get(key, 0) + untold.number
                limiter.learn(untold, self.totals[key])


def shared_rule(interval_s: float = 10, num_requests: int = 3) -> RateLimitRule:
    return RateLimitRule(
        name="login",
        client_address=lambda _: True,
        num_requests=num_requests,
        interval_s=interval_s,
    )


def sharing(*rules: RateLimitRule, offset_s: float = 100.0, now: float = 0.0) -> RateLimiter:
    limiter = RateLimiter(rules or [shared_rule()], now=now)
    limiter.share(offset_s, now, lambda: None)
    return limiter


def passes(limiter: RateLimiter, now: float) -> bool:
    try:
        limiter.check(request(), now)
    except MethodError:
        return False
    return True


def test_nodes_count_together() -> None:
    one, two = sharing(), sharing()
    common = Common(one, two)
    assert [passes(one, 1.0), passes(one, 1.0), passes(two, 1.0)] == [True] * 3
    common.exchange()
    # The second one does not know yet that its first request was the last of all.
    common.exchange()
    assert not passes(two, 1.0)
    assert passes(one, 1.0)  # one more than allowed: it told before it could learn
    common.exchange()
    assert not passes(one, 1.0)
    # A request that is refused is no news.
    assert one.take_untold(100) == two.take_untold(100) == []


def test_intervals_begin_at_the_same_moment_of_the_common_time() -> None:
    # At 0 the common time is 104 and 7: 6 s and 3 s of their intervals are left.
    one, two = sharing(offset_s=104), sharing(offset_s=7)
    for limiter, ends in ((one, 6.0), (two, 3.0)):
        assert [passes(limiter, 0.0) for _ in range(4)] == [True, True, True, False]
        assert not passes(limiter, ends - 0.01)
        assert passes(limiter, ends)


def test_the_interval_that_is_told_is_that_of_the_common_time() -> None:
    limiter = sharing(offset_s=104)
    passes(limiter, 0.0)
    passes(limiter, 6.0)
    assert [untold.interval for untold in limiter.take_untold(9)] == [11]
    passes(limiter, 7.0)
    # A clock that is set back a little does not bring back what is over.
    limiter.share(103.9, 16.0, lambda: None)
    passes(limiter, 16.0)
    assert [untold.interval for untold in limiter.take_untold(9)] == [12]
    limiter.share(103.8, 16.0, lambda: None)
    passes(limiter, 26.0)
    assert [untold.interval for untold in limiter.take_untold(9)] == [13]


def test_what_is_late_is_of_no_matter() -> None:
    limiter = sharing()
    passes(limiter, 0.0)
    (untold,) = limiter.take_untold(9)
    assert passes(limiter, 10.0)
    limiter.learn(untold, 1000)
    limiter.give_back([untold])
    assert passes(limiter, 10.0)
    assert [(one.interval, one.number) for one in limiter.take_untold(9)] == [(11, 2)]


def test_what_was_counted_alone_is_told_once_there_is_somebody() -> None:
    limiter = RateLimiter([shared_rule(interval_s=3600)], now=0.0)
    assert [passes(limiter, 1.0) for _ in range(5)] == [True] * 3 + [False] * 2
    assert limiter.take_untold(9) == []
    limiter.share(0.0, 2.0, lambda: None)
    (untold,) = limiter.take_untold(9)
    assert (untold.number, untold.values) == (3, ("login", "10.0.0.1"))
    assert not passes(limiter, 2.0)


def test_an_answer_that_never_came_is_told_again() -> None:
    limiter = sharing()
    passes(limiter, 0.0)
    taken = limiter.take_untold(9)
    passes(limiter, 0.0)
    limiter.count_alone()
    limiter.give_back(taken)
    assert [untold.number for untold in limiter.take_untold(9)] == [2]


def test_the_one_who_tells_is_woken_by_each_request() -> None:
    woken: list[int] = []
    limiter = RateLimiter([shared_rule()], now=0.0)
    limiter.share(0.0, 0.0, lambda: woken.append(1))
    passes(limiter, 0.0)
    limiter.count_alone()
    passes(limiter, 0.0)
    assert len(woken) == 1


def test_no_more_is_taken_than_asked_for() -> None:
    limiter = sharing(shared_rule(), RateLimitRule(user_id=None, num_requests=50))
    for number in range(5):
        limiter.check(
            Request(
                type="method",
                name="login",
                user_id=None,
                client_address=f"10.0.0.{number}",
                connection_id="c",
            ),
            0.0,
        )
    taken = [len(limiter.take_untold(4)) for _ in range(3)]
    assert taken == [4, 2, 0]  # five addresses, and the rule for all


def test_a_rule_that_names_sessions_is_counted_by_their_node() -> None:
    alone = RateLimiter([rule_of()], now=0.0)
    assert not alone.has_shared_rules
    limiter = sharing(rule_of(), shared_rule())
    assert limiter.has_shared_rules
    passes(limiter, 0.0)
    assert [untold.rule for untold in limiter.take_untold(9)] == [1]
    assert limiter.interval_s(1) == 10
    assert limiter.describe(1) == ("3/10", "name=login", "client_address=()")
