"""Show a node on the whole terminal, or as plain lines."""

from collections.abc import Iterator
from types import TracebackType
from typing import Final, Self

from rich.console import Console, Group, RenderableType
from rich.text import Text

from bolide.ops.terminal.printable import printable
from bolide.ops.terminal.screen import Screen
from bolide.ops.terminal.tables import share
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
from bolide.ops.top.management_client import ManagementFailed
from bolide.ops.top.rates import Rates

__all__ = ["TopView", "plain_lines"]

_FRAME_LINES: Final = 8
"""Two lines about the node, two blank ones, and title and head of two tables."""
_JOB_FRAME_LINES: Final = 3
"""A blank line, title and head of the jobs, if there are any."""


def plain_lines(rates: Rates) -> Iterator[str]:
    """Write an overview as lines of any length, all rows that there are.

    Args:
        rates: What is shown.
    """
    sessions, live_queries = rates.sessions, rates.live_queries
    yield node_line(rates).plain
    yield from (line.plain for line in redis_lines(rates))
    yield from (line.plain for line in broadcast_lines(rates))
    yield session_title(rates, len(sessions)).plain
    if sessions:
        yield from (line.plain for line in session_lines(sessions))
    yield live_query_title(rates, len(live_queries)).plain
    if live_queries:
        yield from (line.plain for line in live_query_lines(live_queries))
    if jobs := rates.overview.jobs:
        yield job_title(rates, len(jobs)).plain
        yield from (line.plain for line in job_lines(jobs))


class TopView:
    """Draws a node on the whole terminal, cut to its size.

    Args:
        console: The terminal.
        url: Where the node was asked.
        interval_s: How often, seconds.
    """

    def __init__(self, console: Console, url: str, interval_s: float) -> None:
        """Draw nothing yet."""
        self._console = console
        self._how = f"{url} every {interval_s:g} s, what costs most first; q ends"
        self._rates: Rates | None = None
        self._error: ManagementFailed | None = None
        self._screen = Screen(console, self.picture)

    def __enter__(self) -> Self:
        """Take the terminal; needs a running event loop."""
        self._screen.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give the terminal back as it was."""
        self._screen.__exit__(kind, error, traceback)

    def show(self, rates: Rates) -> None:
        """Draw what the node does now."""
        self._rates, self._error = rates, None
        self._screen.draw()

    def fail(self, error: ManagementFailed) -> None:
        """Draw that the node did not answer, above what is known from before."""
        self._error = error
        self._screen.draw()

    def picture(self) -> RenderableType:
        """Return the drawing for the size that the terminal has now."""
        rates = self._rates
        if rates is None:
            return Text()
        width, height = self._console.size
        per_query = 1 if width >= WIDE else 2
        jobs = rates.overview.jobs
        wanted = [len(rates.sessions), len(rates.live_queries) * per_query, len(jobs)]
        between_nodes = (*redis_lines(rates), *broadcast_lines(rates))
        frame = _FRAME_LINES + len(between_nodes) + (_JOB_FRAME_LINES if jobs else 0)
        lines = share(wanted, max(0, height - frame))
        sessions = rates.sessions[: lines[0]]
        live_queries = rates.live_queries[: max(1, lines[1] // per_query)]
        shown_jobs = jobs[: lines[2]]
        job_part = ["", job_title(rates, len(shown_jobs)), *job_lines(shown_jobs, width)]
        return Group(
            node_line(rates) if self._error is None else _problem(self._error),
            *between_nodes,
            Text(self._how, style="dim", no_wrap=True, overflow="ellipsis"),
            "",
            session_title(rates, len(sessions)),
            *session_lines(sessions, width),
            "",
            live_query_title(rates, len(live_queries)),
            *live_query_lines(live_queries, width),
            *(job_part if jobs else ()),
        )


def _problem(error: ManagementFailed) -> Text:
    text = f"● Old: it {printable(error.what)}"
    return Text(text, style="red", no_wrap=True, overflow="ellipsis")
