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
