"""Overviews of invented nodes."""

from dataclasses import replace
from typing import Any

from bolide.server.jobs.statistics import JobStatistics
from bolide.server.livequery.advice.statistics import LiveQueryStatistics
from bolide.server.telemetry.overview import (
    LiveQueryTotals,
    NodeState,
    Overview,
    PublicationCount,
    SessionRow,
    SessionTotals,
)

__all__ = ["make_job", "make_overview", "make_query", "make_session"]

_SESSION = SessionRow(
    id="abcdef",
    address="10.0.0.7",
    is_logged_in=True,
    age_s=75.0,
    speaks_bolide=True,
    subscriptions=3,
    publications=(
        PublicationCount(name="ward.board", state="ready", count=2),
        PublicationCount(name="notes", state="starting", count=1),
    ),
    documents=12,
    waiting_documents=0,
    waiting_bytes=0,
    socket_bytes=0,
    is_full=False,
    messages_received=10,
    queued_messages=0,
    methods_in_flight=0,
)
_QUERY = LiveQueryStatistics(
    number=1,
    collection="patients",
    selector="{ward: ?}",
    sort="",
    has_skip=False,
    has_limit=False,
    is_polled=False,
    driver="index eq ward",
    reason="asks for values of a field",
    state="live",
    followers=5,
    in_step=4,
    documents_published=12,
    documents_held=12,
    changes_seen=100,
    changes_told=50,
    changes_waiting=0,
    rereads=0,
    reread_because="",
    matching_s=0.25,
    reading_s=0.25,
)
_JOB = JobStatistics(
    name="ward.tidy_up",
    schedule="every 0:05:00",
    state="waits",
    node="ward-1:17",
    runs=12,
    errors=0,
    losses=0,
    seconds=0.125,
    outcome="ok",
    running_s=None,
    next_s=125.0,
)


def make_session(id: str = "abcdef", **fields: Any) -> SessionRow:
    """Make a session's row; fields say where it differs from a quiet one."""
    return replace(_SESSION, id=id, **fields)


def make_query(number: int = 1, **fields: Any) -> LiveQueryStatistics:
    """Make a live query's row; fields say where it differs from a quiet one."""
    return replace(_QUERY, number=number, **fields)


def make_job(name: str = "ward.tidy_up", **fields: Any) -> JobStatistics:
    """Make a job's row; fields say where it differs from one that waits."""
    return replace(_JOB, name=name, **fields)


def make_overview(
    *,
    sessions: tuple[SessionRow, ...] = (),
    live_queries: tuple[LiveQueryStatistics, ...] = (),
    session_count: int | None = None,
    query_count: int | None = None,
    jobs: tuple[JobStatistics, ...] = (),
    **node: Any,
) -> Overview:
    """Make an overview whose totals are those of its rows, unless a count says that more are."""
    state = NodeState(
        build="b1",
        version="0.1.0",
        pid=17,
        uptime_s=100.0,
        state="ready",
        store="memory",
        store_bytes=500,
        store_max_bytes=1_000,
    )
    return Overview(
        node=replace(state, **node),
        sessions=SessionTotals(
            count=len(sessions) if session_count is None else session_count,
            full=sum(row.is_full for row in sessions),
            subscriptions=sum(row.subscriptions for row in sessions),
            documents=sum(row.documents for row in sessions),
            waiting_documents=sum(row.waiting_documents for row in sessions),
            waiting_bytes=sum(row.waiting_bytes for row in sessions),
            messages_received=sum(row.messages_received for row in sessions),
            methods_in_flight=sum(row.methods_in_flight for row in sessions),
        ),
        session_rows=sessions,
        live_queries=LiveQueryTotals(
            count=len(live_queries) if query_count is None else query_count,
            polled=sum(row.is_polled for row in live_queries),
            waiting=sum(row.state != "live" for row in live_queries),
            followers=sum(row.followers for row in live_queries),
            in_step=sum(row.in_step for row in live_queries),
            documents_published=sum(row.documents_published for row in live_queries),
            changes_seen=sum(row.changes_seen for row in live_queries),
            changes_told=sum(row.changes_told for row in live_queries),
            rereads=sum(row.rereads for row in live_queries),
            cost_s=sum(row.cost_s for row in live_queries),
        ),
        live_query_rows=live_queries,
        jobs=jobs,
    )
