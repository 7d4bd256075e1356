"""How often may be sent in a second."""

import pytest

from bolide.core.errors import RateLimited
from bolide.server.channels.rates import SendRates


def test_a_session_and_a_topic_each_have_their_number_in_each_second() -> None:
    rates = SendRates(per_session=2, per_topic=3, now=10.0)
    rates.check("a", "typing", "7", 10.0)
    rates.check("a", "typing", "8", 10.1)
    with pytest.raises(RateLimited) as refused:
        rates.check("a", "typing", "9", 10.4)
    assert refused.value.retry_after_s == pytest.approx(0.6)
    rates.check("b", "typing", "7", 10.4)
    rates.check(None, "typing", "7", 10.4)
    with pytest.raises(RateLimited):
        rates.check(None, "typing", "7", 10.4)
    rates.check(None, "cursors", "7", 10.4)
    rates.check("a", "typing", "7", 11.0)


def test_what_was_refused_is_not_counted() -> None:
    rates = SendRates(per_session=2, per_topic=1, now=0.0)
    rates.check("a", "typing", "7", 0.0)
    with pytest.raises(RateLimited):
        rates.check("a", "typing", "7", 0.0)
    rates.check("a", "typing", "8", 0.0)
