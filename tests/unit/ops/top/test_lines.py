"""Lines of an overview: what is wrong stands in front, and no terminal is commanded."""

from dataclasses import replace
from typing import Any

import pytest
from tests.unit.ops.top.overviews import make_job, make_overview, make_query, make_session

from bolide.ops.top.lines import (
    WIDE,
    broadcast_lines,
    job_lines,
    job_title,
    live_query_lines,
    live_query_title,
    node_line,
    redis_lines,
    session_lines,
    session_title,
)
from bolide.ops.top.rates import compare
from bolide.ops.top.view import plain_lines
from bolide.server.broadcast.state import BroadcastState
from bolide.server.jobs.statistics import JobStatistics
from bolide.server.livequery.advice.statistics import LiveQueryStatistics
from bolide.server.redis.state import RedisState
from bolide.server.telemetry.overview import PublicationCount, SessionRow


def session_texts(*rows: SessionRow, width: int | None = None) -> list[str]:
    sessions = compare(None, make_overview(sessions=rows)).sessions
    return [line.plain for line in session_lines(sessions, width)]


def query_texts(*rows: LiveQueryStatistics, width: int | None = None) -> list[str]:
    live_queries = compare(None, make_overview(live_queries=rows)).live_queries
    return [line.plain for line in live_query_lines(live_queries, width)]


def test_the_node_tells_how_it_is() -> None:
    line = node_line(compare(None, make_overview()))
    assert line.plain == (
        "● ready  up 1 min 40 s  memory 500 bytes of 1.0 kB (50%)  pid 17  Bolide 0.1.0  build b1"
    )
    assert "green" in {span.style for span in line.spans}


def test_a_node_that_drains_or_is_nearly_full_stands_out() -> None:
    line = node_line(compare(None, make_overview(state="draining", store_bytes=800)))
    assert {"yellow", "red"} <= {span.style for span in line.spans}


def test_a_store_on_another_machine_has_no_size_here() -> None:
    line = node_line(compare(None, make_overview(store="mongo", store_bytes=None, build="")))
    assert line.plain == "● ready  up 1 min 40 s  mongo  pid 17  Bolide 0.1.0"


_REDIS = RedisState(
    is_connected=True,
    since_s=75.0,
    because="",
    version="7.0.15",
    counts_alone_because="",
    hints_taken=12,
    hints_refused=0,
    hints_skipped=0,
)


def redis_texts(**fields: Any) -> list[str]:
    redis = replace(_REDIS, **fields)
    rates = compare(None, replace(make_overview(), redis=redis))
    assert [line.plain for line in redis_lines(rates)] == [
        line for line in plain_lines(rates) if line.startswith("● redis")
    ]
    return [line.plain for line in redis_lines(rates)]


_BROADCAST = BroadcastState(
    path="store",
    waits_because="",
    neighbours=1,
    published=12,
    received=3_400,
    expired=0,
    losses=0,
    topics=1,
    listeners=5,
    own_members=2,
    members=6,
)


def broadcast_texts(**fields: Any) -> list[str]:
    state = replace(_BROADCAST, **fields)
    rates = compare(None, replace(make_overview(), broadcast=state))
    assert [line.plain for line in broadcast_lines(rates)] == [
        line for line in plain_lines(rates) if line.startswith("● channels")
    ]
    return [line.plain for line in broadcast_lines(rates)]


def test_a_feed_from_elsewhere_tells_how_late_it_is_and_why() -> None:
    line = node_line(compare(None, make_overview(feed_lag_s=0.4)))
    assert "  0 s behind  pid" in line.plain
    late = make_overview(
        feed_lag_s=12.0,
        feed_waits_because="the database does not answer",
        feed_waits_s=11.0,
        feed_losses=2,
    )
    text = node_line(compare(None, late)).plain
    assert "  12 s behind: the database does not answer, for 11 s  history lost 2 x  pid" in text


def test_an_app_without_channels_has_no_line_of_them() -> None:
    assert list(broadcast_lines(compare(None, make_overview()))) == []


def test_channels_tell_how_they_reach_others_and_why_they_wait() -> None:
    assert broadcast_texts() == [
        "● channels  store, 1 other node  5 listen to 1 topic  6 present, 2 here"
        "  12 sent, 3400 received"
    ]
    assert broadcast_texts(waits_because="no primary", neighbours=2, expired=3, losses=1) == [
        "● channels  store, 2 other nodes  waits: no primary  5 listen to 1 topic"
        "  6 present, 2 here  12 sent, 3400 received, 3 given up, 1 times missed"
    ]
    assert broadcast_texts(path="in process", neighbours=0)[0].startswith(
        "● channels  in process  5 listen"
    )
    assert broadcast_texts(path="redis", neighbours=None)[0].startswith(
        "● channels  redis  5 listen"
    )


def test_without_redis_there_is_no_line_of_it() -> None:
    assert list(redis_lines(compare(None, make_overview()))) == []


def test_redis_tells_how_it_is() -> None:
    assert redis_texts() == [
        "● redis  7.0.15 for 1 min 15 s  rate limits count over all nodes  hints 12"
    ]
    assert redis_texts(counts_alone_because="redis is full", hints_refused=3, hints_skipped=2) == [
        "● redis  7.0.15 for 1 min 15 s  rate limits: redis is full"
        "  hints 12, 3 refused, 2 times too many"
    ]
    assert redis_texts(
        is_connected=False,
        because="does not answer",
        version="",
        counts_alone_because="redis is away",
    ) == [
        "● redis away for 1 min 15 s  it does not answer"
        "  rate limits count for each node by itself  hints 12"
    ]


def test_a_session_is_a_line() -> None:
    assert session_texts(make_session()) == [
        "session  address   user    age  msg/s  calls  queue  subs  docs  waits  publications",
        "abcdef   10.0.0.7   yes  1 min      -      0      0     3    12  -"
        "      ward.board x2, notes (starting)",
    ]


def test_a_narrow_terminal_has_fewer_columns() -> None:
    head, line = session_texts(make_session(is_logged_in=False, address=None), width=80)
    assert head == "session  address  user    age  subs  docs  waits  publications"
    assert line.startswith("abcdef   unknown    no  1 min     3    12  -      ward.board x2")


def test_a_session_that_does_not_read_stands_out() -> None:
    row = make_session(
        is_full=True, waiting_documents=20, waiting_bytes=500, socket_bytes=65_000, publications=()
    )
    rates = compare(None, make_overview(sessions=(row,), session_count=3))
    line = list(session_lines(rates.sessions))[1]
    assert line.plain.endswith("20 docs 65.5 kB full")
    assert line.style == "red"
    assert session_title(rates, 1).plain == (
        "Sessions  3  2 not shown, 1 full, 20 documents and 500 bytes wait, 3 subscriptions,"
        " 12 documents"
    )


def test_titles_tell_rates_when_they_are_known() -> None:
    before = make_overview(sessions=(make_session(),), live_queries=(make_query(),))
    now = make_overview(
        sessions=(make_session(messages_received=20),),
        live_queries=(make_query(matching_s=0.26, rereads=4, state="read first"),),
        uptime_s=101.0,
    )
    rates = compare(before, now)
    assert session_title(rates, 1).plain == (
        "Sessions  1  10.0 messages/s, 3 subscriptions, 12 documents"
    )
    assert live_query_title(rates, 1).plain == (
        "Live queries  1  1 wait, 10.0 ms/s, 4 reads, 5 subscriptions, 4 in step"
    )


def test_a_live_query_is_two_lines_on_a_terminal_and_one_elsewhere() -> None:
    row = make_query(
        sort="bed", has_limit=True, has_skip=True, driver="window", reason="sorted, with limit"
    )
    assert query_texts(row, width=80) == [
        "ms/s  seen/s  told/s  reads  subs  docs  query",
        "   -       -       -      0     5    12  patients {ward: ?} by bed, skip ?, limit ?",
        "  feed, window: sorted, with limit",
    ]
    assert query_texts(row) == [
        "ms/s  seen/s  told/s   total  reads  subs  step  docs"
        "  query                                       why",
        "   -       -       -  0.50 s      0     5     4    12"
        "  patients {ward: ?} by bed, skip ?, limit ?  feed, window: sorted, with limit",
    ]


def test_a_polled_query_says_so() -> None:
    row = make_query(is_polled=True, driver="polled", reason="$where", reread_because="change")
    assert query_texts(row)[1].endswith("polled: $where; last read again: change")
    assert (
        "1 polled" in live_query_title(compare(None, make_overview(live_queries=(row,))), 1).plain
    )


def test_a_long_query_leaves_room_for_the_reason() -> None:
    line = query_texts(make_query(selector="{" + "a" * 90 + ": ?}"), width=WIDE)[1]
    assert "aaa…  feed, index eq ward: asks for values of a field" in line


@pytest.mark.parametrize("width", [80, WIDE])
def test_why_a_live_query_waits_comes_first(width: int) -> None:
    row = make_query(
        state="read again: history lost",
        changes_waiting=120,
        rereads=2,
        reread_because="window",
    )
    why = query_texts(row, width=width)[-1].strip()
    assert why.endswith(
        "read again: history lost, 120 changes wait  "
        "feed, index eq ward: asks for values of a field; last read again: window"
    )


@pytest.mark.parametrize("width", [80, WIDE])
def test_an_index_that_would_help_is_told(width: int) -> None:
    advice = 'looks at 5000 documents to find 3: patients.create_index([("ward", 1)])'
    assert query_texts(make_query(advice=advice), width=width)[-1].endswith(f"; {advice}")


def test_why_it_was_read_is_not_told_twice() -> None:
    row = make_query(driver="re-query", reason="limit or skip without sort", state="read first",
                     rereads=9, reread_because="re-query")  # fmt: skip
    assert query_texts(row)[1].endswith("read first  feed, re-query: limit or skip without sort")


def job_texts(*jobs: JobStatistics, width: int | None = None) -> list[str]:
    return [line.plain for line in job_lines(jobs, width)]


def test_a_job_is_a_line() -> None:
    unknown = make_job("ward.report", state="unknown", node="", runs=0, outcome="", next_s=None)
    assert job_texts(make_job(), unknown) == [
        "state        time  runs  errors  lost  last       node       job",
        "waits    in 2 min    12       0     0  ok 0.12 s  ward-1:17  ward.tidy_up, every 0:05:00",
        "unknown         -     0       0     0  -          -          ward.report, every 0:05:00",
    ]


def test_a_job_that_runs_tells_for_how_long() -> None:
    job = make_job(state="runs here", running_s=75.0, next_s=None, seconds=90.0)
    assert job_texts(job, width=80)[1] == (
        "runs here  for 1 min    12       0  ok 1 min 30 s  ward.tidy_up, every 0:05:00"
    )


@pytest.mark.parametrize(("outcome", "told"), [("error", "error 0.12 s"), ("lost", "lost ")])
def test_a_job_that_failed_stands_out(outcome: str, told: str) -> None:
    line = list(job_lines([make_job(outcome=outcome)]))[1]
    assert line.style == "red"
    assert told in line.plain


def test_the_title_of_jobs_counts_them() -> None:
    jobs = (make_job(running_s=1.0, errors=2), make_job("ward.report"))
    rates = compare(None, make_overview(jobs=jobs))
    assert job_title(rates, 1).plain == "Jobs  2  1 not shown, 1 run, 24 runs, 2 errors"
    quiet = compare(None, make_overview(jobs=(make_job(),)))
    assert job_title(quiet, 1).plain == "Jobs  1  12 runs"


def test_names_do_not_command_the_terminal() -> None:
    publications = (PublicationCount(name="a\x1b[2J", state="\x1b", count=1),)
    session = make_session("\x1b", address="\x1b", publications=publications)
    query = make_query(collection="\x1b", selector="\x1b", sort="\x1b", driver="\x1b",
                       reason="\x1b", state="\x1b", reread_because="\x1b[")  # fmt: skip
    job = make_job("\x1b", schedule="\x1b", state="\x1b", node="\x1b", outcome="\x1b")
    rates = compare(None, make_overview(state="\x1b", store="\x1b", version="\x1b", build="\x1b"))
    texts = [*session_texts(session), *query_texts(query), *job_texts(job), node_line(rates).plain]
    assert "\x1b" not in "".join(texts)
