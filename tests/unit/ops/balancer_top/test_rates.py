"""What a balancer did between two looks."""

import pytest
from tests.unit.ops.balancer_top.overviews import make_overview

from bolide.ops.balancer_top.rates import compare, labelled


def test_counters_become_rates_and_gauges_do_not() -> None:
    before = make_overview(at=10.0, counts={"connections_total": 5.0, "connections_open": 3.0})
    now = make_overview(at=12.0, counts={"connections_total": 9.0, "connections_open": 4.0})
    rates = compare(before, now)
    assert rates.rate("connections_total") == 2.0
    assert "connections_open" not in rates.per_s
    assert rates.rate("tunnels_total") == 0.0


def test_a_counter_that_is_new_began_at_nothing() -> None:
    rates = compare(make_overview(at=1.0), make_overview(at=2.0, counts={"unasked_total": 3.0}))
    assert rates.rate("unasked_total") == 3.0


@pytest.mark.parametrize("before", [None, make_overview(pid=7), make_overview(at=99.0)])
def test_without_a_look_before_nothing_is_known(before: object) -> None:
    now = make_overview(at=10.0, counts={"connections_total": 9.0})
    rates = compare(before, now)  # type: ignore[arg-type]
    assert rates.rate("connections_total") is None


def test_series_are_found_by_their_labels() -> None:
    counts = {
        'node_outcomes_total{node="a",outcome="refused"}': 2.0,
        'node_outcomes_total{node="b, \\"c",outcome="answered"}': 1.0,
        "node_outcomes": 5.0,
    }
    assert labelled(counts, "node_outcomes_total") == {
        ("a", "refused"): 2.0,
        ('b, \\"c', "answered"): 1.0,
    }
