"""Write an overview of a node as lines: short ones for a terminal, whole ones for a pipe."""

from collections.abc import Iterator, Sequence
from typing import Final

from rich.text import Text

from bolide.ops.terminal.amounts import age_text, count_text, rate_text, size_text
from bolide.ops.terminal.columns import GAP, Column, line, plural, rows, title
from bolide.ops.terminal.printable import printable
from bolide.ops.top.rates import LiveQueryRates, Rates, SessionRates
from bolide.server.jobs.statistics import JobStatistics
from bolide.server.livequery.advice.statistics import LiveQueryStatistics
from bolide.server.telemetry.overview import PublicationCount, SessionRow

__all__ = [
    "WIDE",
    "broadcast_lines",
    "job_lines",
    "job_title",
    "live_query_lines",
    "live_query_title",
    "node_line",
    "redis_lines",
    "session_lines",
    "session_title",
]

WIDE: Final = 190
"""Columns from which on a live query has one line; below, the reason has a line of its own."""

_MOST_OF_QUERY: Final = 52

_SESSION_COLUMNS: Final[Sequence[Column[SessionRates]]] = (
    Column("session", 7, lambda one: printable(one.row.id), is_left=True),
    Column("address", 15, lambda one: printable(one.row.address or "unknown"), is_left=True),
    Column("user", 4, lambda one: "yes" if one.row.is_logged_in else "no"),
    Column("age", 6, lambda one: age_text(one.row.age_s, units=1)),
    Column("msg/s", 5, lambda one: rate_text(one.messages_per_s), is_spare=True),
    Column("calls", 5, lambda one: count_text(one.row.methods_in_flight), is_spare=True),
    Column("queue", 5, lambda one: count_text(one.row.queued_messages), is_spare=True),
    Column("subs", 4, lambda one: count_text(one.row.subscriptions)),
    Column("docs", 6, lambda one: count_text(one.row.documents)),
    Column("waits", 15, lambda one: _waiting(one.row), is_left=True),
)

_QUERY_COLUMNS: Final[Sequence[Column[LiveQueryRates]]] = (
    Column("ms/s", 5, lambda one: rate_text(one.cost_ms_per_s)),
    Column("seen/s", 6, lambda one: rate_text(one.seen_per_s)),
    Column("told/s", 6, lambda one: rate_text(one.told_per_s)),
    Column("total", 7, lambda one: f"{one.row.cost_s:.2f} s", is_spare=True),
    Column("reads", 5, lambda one: count_text(one.row.rereads)),
    Column("subs", 5, lambda one: count_text(one.row.followers)),
    Column("step", 5, lambda one: count_text(one.row.in_step), is_spare=True),
    Column("docs", 6, lambda one: count_text(one.row.documents_held)),
)

_JOB_COLUMNS: Final[Sequence[Column[JobStatistics]]] = (
    Column("state", 9, lambda one: printable(one.state), is_left=True),
    Column("time", 10, lambda one: _job_time(one)),
    Column("runs", 6, lambda one: count_text(one.runs)),
    Column("errors", 6, lambda one: count_text(one.errors)),
    Column("lost", 5, lambda one: count_text(one.losses), is_spare=True),
    Column("last", 16, lambda one: _job_outcome(one), is_left=True),
    Column("node", 24, lambda one: printable(one.node or "-"), is_left=True, is_spare=True),
)


def node_line(rates: Rates) -> Text:
    """Say what the node is and how it is."""
    node = rates.overview.node
    style = "green" if node.state == "ready" else "yellow"
    text = Text(no_wrap=True, overflow="ellipsis").append(f"● {printable(node.state)}", style)
    text.append(f"  up {age_text(node.uptime_s)}  {printable(node.store)}")
    if node.store_bytes is not None:
        share = node.store_bytes / node.store_max_bytes
        used = f" {size_text(node.store_bytes)} of {size_text(node.store_max_bytes)} ({share:.0%})"
        text.append(used, "red" if share >= 0.8 else "")
    if node.feed_lag_s is not None:
        text.append(f"  {node.feed_lag_s:.0f} s behind", "red" if node.feed_lag_s >= 5 else "")
    if node.feed_waits_because:
        waits = f": {printable(node.feed_waits_because)}, for {age_text(node.feed_waits_s)}"
        text.append(waits, "red")
    if node.feed_losses:
        text.append(f"  history lost {node.feed_losses} x", "yellow")
    text.append(f"  pid {node.pid}  Bolide {printable(node.version)}")
    return text.append(f"  build {printable(node.build)}" if node.build else "")


def redis_lines(rates: Rates) -> Iterator[Text]:
    """Say how the node gets on with Redis, in one line; none without a Redis."""
    redis = rates.overview.redis
    if redis is None:
        return
    text = Text(no_wrap=True, overflow="ellipsis")
    if redis.is_connected:
        text.append("● redis", "green")
        text.append(f"  {printable(redis.version)} for {age_text(redis.since_s)}")
    else:
        text.append(f"● redis away for {age_text(redis.since_s)}", "yellow")
        text.append(f"  it {printable(redis.because)}")
    alone = redis.counts_alone_because
    text.append("  rate limits count over all nodes" if not alone else "")
    if alone and redis.is_connected:
        text.append(f"  rate limits: {printable(alone)}")
    elif alone:
        text.append("  rate limits count for each node by itself")
    text.append(f"  hints {count_text(redis.hints_taken)}")
    for name, number in (("refused", redis.hints_refused), ("times too many", redis.hints_skipped)):
        if number:
            text.append(f", {count_text(number)} {name}", "yellow")
    yield text


def broadcast_lines(rates: Rates) -> Iterator[Text]:
    """Say how channels and presence are, in one line; none if the app has neither."""
    state = rates.overview.broadcast
    if state is None:
        return
    text = Text(no_wrap=True, overflow="ellipsis")
    text.append("● channels", "yellow" if state.waits_because else "green")
    text.append(f"  {printable(state.path)}")
    if state.neighbours is not None and state.path != "in process":
        text.append(f", {state.neighbours} other {plural('node', state.neighbours)}")
    if state.waits_because:
        text.append(f"  waits: {printable(state.waits_because)}", "yellow")
    text.append(
        f"  {count_text(state.listeners)} listen to {count_text(state.topics)}"
        f" {plural('topic', state.topics)}"
        f"  {count_text(state.members)} present, {count_text(state.own_members)} here"
        f"  {count_text(state.published)} sent, {count_text(state.received)} received"
    )
    for name, number in (("given up", state.expired), ("times missed", state.losses)):
        if number:
            text.append(f", {count_text(number)} {name}", "yellow")
    yield text


def session_title(rates: Rates, shown: int) -> Text:
    """Say how the sessions are, all together.

    Args:
        rates: With their totals.
        shown: How many of them have a line.
    """
    totals = rates.overview.sessions
    parts: list[str] = []
    if totals.full:
        parts.append(f"{totals.full} full")
    if totals.waiting_documents or totals.waiting_bytes:
        waiting = f"{count_text(totals.waiting_documents)} documents"
        parts.append(f"{waiting} and {size_text(totals.waiting_bytes)} wait")
    if rates.messages_per_s is not None:
        parts.append(f"{rate_text(rates.messages_per_s)} messages/s")
    parts.append(f"{count_text(totals.subscriptions)} subscriptions")
    parts.append(f"{count_text(totals.documents)} documents")
    return title("Sessions", totals.count, shown, parts)


def live_query_title(rates: Rates, shown: int) -> Text:
    """Say how the live queries are, all together.

    Args:
        rates: With their totals.
        shown: How many of them have a line.
    """
    totals = rates.overview.live_queries
    parts: list[str] = []
    if totals.waiting:
        parts.append(f"{totals.waiting} wait")
    if totals.polled:
        parts.append(f"{count_text(totals.polled)} polled")
    if rates.cost_ms_per_s is not None:
        parts.append(f"{rate_text(rates.cost_ms_per_s)} ms/s")
    if totals.rereads:
        parts.append(f"{count_text(totals.rereads)} reads")
    parts.append(f"{count_text(totals.followers)} subscriptions")
    parts.append(f"{count_text(totals.in_step)} in step")
    return title("Live queries", totals.count, shown, parts)


def job_title(rates: Rates, shown: int) -> Text:
    """Say how the scheduled jobs are, all together.

    Args:
        rates: With all of them.
        shown: How many of them have a line.
    """
    jobs = rates.overview.jobs
    running = sum(job.running_s is not None for job in jobs)
    parts = [f"{running} run"] if running else []
    parts.append(f"{count_text(sum(job.runs for job in jobs))} runs")
    if errors := sum(job.errors for job in jobs):
        parts.append(f"{count_text(errors)} errors")
    return title("Jobs", len(jobs), shown, parts)


def session_lines(sessions: Sequence[SessionRates], width: int | None = None) -> Iterator[Text]:
    """Write one line for each session, below a head.

    Args:
        sessions: In this order.
        width: Columns of the terminal; None: as many as it takes.
    """
    head, *cells = rows(_SESSION_COLUMNS, sessions, width)
    yield line(f"{head}publications", "dim")
    for one, text in zip(sessions, cells, strict=True):
        names = ", ".join(map(_publication, one.row.publications))
        yield line(f"{text}{names}".rstrip(), "red" if one.row.is_full else "")


def live_query_lines(
    live_queries: Sequence[LiveQueryRates], width: int | None = None
) -> Iterator[Text]:
    """Write live queries below a head, each in two lines, or in one where it fits.

    Args:
        live_queries: In this order.
        width: Columns of the terminal; None: as many as it takes, in one line.
    """
    shapes = [_query(one.row) for one in live_queries]
    query_width = max(map(len, [*shapes, "query"]))
    is_wide = width is None or width >= WIDE
    if width is not None:
        query_width = min(query_width, _MOST_OF_QUERY)
    head, *cells = rows(_QUERY_COLUMNS, live_queries, width)
    titles = f"{'query'.ljust(query_width)}{GAP}why" if is_wide else "query"
    yield line(f"{head}{titles}", "dim")
    for one, text, shape in zip(live_queries, cells, shapes, strict=True):
        if is_wide:
            cut = shape if len(shape) <= query_width else f"{shape[: query_width - 1]}…"
            yield line(f"{text}{cut.ljust(query_width)}{GAP}").append_text(_why(one.row))
        else:
            yield line(f"{text}{shape}")
            yield line("  ").append_text(_why(one.row))


def job_lines(jobs: Sequence[JobStatistics], width: int | None = None) -> Iterator[Text]:
    """Write one line for each scheduled job, below a head.

    Args:
        jobs: In this order.
        width: Columns of the terminal; None: as many as it takes.
    """
    head, *cells = rows(_JOB_COLUMNS, jobs, width)
    yield line(f"{head}job", "dim")
    for job, text in zip(jobs, cells, strict=True):
        style = "red" if job.outcome in ("error", "lost") else ""
        yield line(f"{text}{printable(job.name)}, {printable(job.schedule)}", style)


def _waiting(row: SessionRow) -> str:
    """Say what waits for a client, such as ``20 docs 65.5 kB``."""
    parts: list[str] = []
    if row.waiting_documents:
        parts.append(f"{count_text(row.waiting_documents)} docs")
    if size := row.waiting_bytes + row.socket_bytes:
        parts.append(size_text(size))
    if row.is_full:
        parts.append("full")
    return " ".join(parts) or "-"


def _job_time(job: JobStatistics) -> str:
    """Say for how long it runs, or when it will: ``for 3 min``, ``in 20 s``."""
    if job.running_s is not None:
        return f"for {age_text(job.running_s, units=1)}"
    return "-" if job.next_s is None else f"in {age_text(job.next_s, units=1)}"


def _job_outcome(job: JobStatistics) -> str:
    """Say how the last run ended and what it took, such as ``ok 0.12 s``."""
    if not job.outcome:
        return "-"
    outcome = printable(job.outcome)
    if job.outcome == "lost":
        return outcome
    return f"{outcome} {age_text(job.seconds) if job.seconds >= 60 else f'{job.seconds:.2f} s'}"


def _publication(publication: PublicationCount) -> str:
    number = "" if publication.count == 1 else f" x{publication.count}"
    state = "" if publication.state == "ready" else f" ({printable(publication.state)})"
    return f"{printable(publication.name)}{number}{state}"


def _query(row: LiveQueryStatistics) -> str:
    """Write a query, such as ``patients {ward: ?} by bed, limit ?``."""
    parts = [f"{printable(row.collection)} {printable(row.selector)}"]
    if row.sort:
        parts[0] += f" by {printable(row.sort)}"
    parts += [f"{name} ?" for name, is_asked in _window(row) if is_asked]
    return ", ".join(parts)


def _window(row: LiveQueryStatistics) -> Sequence[tuple[str, bool]]:
    return (("skip", row.has_skip), ("limit", row.has_limit))


def _why(row: LiveQueryStatistics) -> Text:
    """Say how it is kept up to date and why, and first what its followers wait for."""
    text = Text(no_wrap=True, overflow="ellipsis")
    if row.state != "live":
        waiting = f", {count_text(row.changes_waiting)} changes wait" if row.changes_waiting else ""
        text.append(f"{printable(row.state)}{waiting}  ", "yellow")
    driver = printable(row.driver)
    kept = driver if row.is_polled else f"feed, {driver}"
    text.append(f"{kept}: {printable(row.reason)}", "dim")
    if row.advice:
        text.append(f"; {printable(row.advice)}", "yellow")
    if row.reread_because not in ("", row.driver):
        text.append(f"; last read again: {printable(row.reread_because)}", "dim")
    return text
