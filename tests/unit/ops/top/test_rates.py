"""Rates: what was done between two looks at a node."""

from tests.unit.ops.top.overviews import make_overview, make_query, make_session

from bolide.ops.top.rates import compare


def test_a_first_look_knows_no_rates_and_keeps_the_order() -> None:
    overview = make_overview(
        sessions=(make_session(),), live_queries=(make_query(2), make_query(1))
    )
    rates = compare(None, overview)
    assert rates.span_s is None
    assert rates.messages_per_s is None
    assert rates.cost_ms_per_s is None
    assert [one.messages_per_s for one in rates.sessions] == [None]
    assert [one.row.number for one in rates.live_queries] == [2, 1]
    assert [one.cost_ms_per_s for one in rates.live_queries] == [None, None]


def test_a_second_look_tells_what_happened_since() -> None:
    before = make_overview(sessions=(make_session(),), live_queries=(make_query(),))
    now = make_overview(
        sessions=(make_session(messages_received=30),),
        live_queries=(
            make_query(
                matching_s=0.26, reading_s=0.27, changes_seen=140, changes_told=60, rereads=2
            ),
        ),
        uptime_s=102.0,
    )
    rates = compare(before, now)
    assert (rates.span_s, rates.messages_per_s) == (2, 10)
    assert [one.messages_per_s for one in rates.sessions] == [10]
    (query,) = rates.live_queries
    assert (query.seen_per_s, query.told_per_s, query.rereads_per_s) == (20, 5, 1)
    assert query.cost_ms_per_s is not None
    assert rates.cost_ms_per_s is not None
    assert round(query.cost_ms_per_s) == round(rates.cost_ms_per_s) == 15


def test_what_costs_most_since_the_look_before_comes_first() -> None:
    before = make_overview(live_queries=(make_query(1, matching_s=9.0), make_query(2)))
    now = make_overview(
        live_queries=(make_query(1, matching_s=9.0), make_query(2, matching_s=0.5)), uptime_s=101.0
    )
    assert [one.row.number for one in compare(before, now).live_queries] == [2, 1]


def test_who_is_new_did_everything_since_unless_somebody_was_left_out() -> None:
    new = make_query(2, matching_s=0.1, reading_s=0.0)
    now = make_overview(live_queries=(make_query(1), new), uptime_s=101.0)
    whole = compare(make_overview(live_queries=(make_query(1),)), now)
    assert [one.cost_ms_per_s for one in whole.live_queries] == [100, 0]
    cut = compare(make_overview(live_queries=(make_query(1),), query_count=2), now)
    assert {one.row.number: one.cost_ms_per_s for one in cut.live_queries} == {1: 0, 2: None}


def test_a_session_that_is_new_has_no_rate_yet() -> None:
    before = make_overview(sessions=(make_session("a"),))
    now = make_overview(sessions=(make_session("a"), make_session("b")), uptime_s=101.0)
    assert [one.messages_per_s for one in compare(before, now).sessions] == [0, None]


def test_what_ended_makes_no_rate_negative() -> None:
    before = make_overview(sessions=(make_session(),), live_queries=(make_query(),))
    rates = compare(before, make_overview(uptime_s=101.0))
    assert (rates.messages_per_s, rates.cost_ms_per_s) == (0, 0)


def test_another_process_is_not_compared() -> None:
    before = make_overview()
    assert compare(before, make_overview(pid=18, uptime_s=200.0)).span_s is None
    assert compare(before, make_overview(uptime_s=1.0)).span_s is None
