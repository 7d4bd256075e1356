"""What a node did between two overviews of it."""

from dataclasses import dataclass, replace

from bolide.server.livequery.advice.statistics import LiveQueryStatistics
from bolide.server.telemetry.overview import Overview, SessionRow

__all__ = ["LiveQueryRates", "Rates", "SessionRates", "compare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRates:
    """One session; None: not known, because it was not in the overview before.

    Attributes:
        row: As it is now.
        messages_per_s: Messages received.
    """

    row: SessionRow
    messages_per_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveQueryRates:
    """One live query; None: not known, because it was not in the overview before.

    Attributes:
        row: As it is now.
        cost_ms_per_s: Time spent on it, milliseconds in a second.
        seen_per_s: Changes it was asked about.
        told_per_s: Documents that entered, changed or left.
        rereads_per_s: How often it was read again.
    """

    row: LiveQueryStatistics
    cost_ms_per_s: float | None
    seen_per_s: float | None
    told_per_s: float | None
    rereads_per_s: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """A node, and what it did since the overview before.

    Attributes:
        overview: As it is now.
        span_s: Since when, seconds; None: there is no overview before, or of another process.
        sessions: In the overview's order: who waits for most comes first.
        live_queries: Those that cost most since then come first.
        messages_per_s: Messages received in all sessions that are open.
        cost_ms_per_s: Time spent on all live queries that there are.
    """

    overview: Overview
    span_s: float | None
    sessions: tuple[SessionRates, ...]
    live_queries: tuple[LiveQueryRates, ...]
    messages_per_s: float | None
    cost_ms_per_s: float | None


def compare(before: Overview | None, now: Overview) -> Rates:
    """Tell what happened between two overviews.

    Args:
        before: The earlier one, None if there is none.
        now: The later one.
    """
    span_s = None if before is None else _span(before, now)
    if before is None or span_s is None:
        return Rates(
            overview=now,
            span_s=None,
            sessions=tuple(SessionRates(row=row, messages_per_s=None) for row in now.session_rows),
            live_queries=tuple(_live_query_rates(row, None, 1) for row in now.live_query_rows),
            messages_per_s=None,
            cost_ms_per_s=None,
        )
    received = now.sessions.messages_received - before.sessions.messages_received
    cost_s = now.live_queries.cost_s - before.live_queries.cost_s
    return Rates(
        overview=now,
        span_s=span_s,
        sessions=_sessions(before, now, span_s),
        live_queries=_live_queries(before, now, span_s),
        # What ended meanwhile takes with it what it did.
        messages_per_s=max(0, received) / span_s,
        cost_ms_per_s=max(0.0, cost_s) * 1000 / span_s,
    )


def _span(before: Overview, now: Overview) -> float | None:
    """Return the time between two overviews of one process, seconds; None if they are not."""
    span_s = now.node.uptime_s - before.node.uptime_s
    return span_s if before.node.pid == now.node.pid and span_s > 0 else None


def _sessions(before: Overview, now: Overview, span_s: float) -> tuple[SessionRates, ...]:
    received = {row.id: row.messages_received for row in before.session_rows}
    rates: list[SessionRates] = []
    for row in now.session_rows:
        former = received.get(row.id)
        per_s = None if former is None else (row.messages_received - former) / span_s
        rates.append(SessionRates(row=row, messages_per_s=per_s))
    return tuple(rates)


def _live_queries(before: Overview, now: Overview, span_s: float) -> tuple[LiveQueryRates, ...]:
    former = {row.number: row for row in before.live_query_rows}
    if len(former) == before.live_queries.count:
        # None was left out, so one that was not there has done everything since.
        for row in now.live_query_rows:
            former.setdefault(row.number, _unused(row))
    rates = [_live_query_rates(row, former.get(row.number), span_s) for row in now.live_query_rows]
    return tuple(sorted(rates, key=lambda one: one.cost_ms_per_s or 0.0, reverse=True))


def _unused(row: LiveQueryStatistics) -> LiveQueryStatistics:
    return replace(row, matching_s=0.0, reading_s=0.0, changes_seen=0, changes_told=0, rereads=0)


def _live_query_rates(
    row: LiveQueryStatistics, former: LiveQueryStatistics | None, span_s: float
) -> LiveQueryRates:
    if former is None:
        return LiveQueryRates(
            row=row, cost_ms_per_s=None, seen_per_s=None, told_per_s=None, rereads_per_s=None
        )
    return LiveQueryRates(
        row=row,
        cost_ms_per_s=(row.cost_s - former.cost_s) * 1000 / span_s,
        seen_per_s=(row.changes_seen - former.changes_seen) / span_s,
        told_per_s=(row.changes_told - former.changes_told) / span_s,
        rereads_per_s=(row.rereads - former.rereads) / span_s,
    )
