"""Show a balancer on the whole terminal, or as plain lines."""

from collections.abc import Iterator
from typing import Final

from rich.console import Console, Group, RenderableType
from rich.text import Text

from bolide.ops.balancer_top.lines import (
    balancer_line,
    certificate_line,
    node_lines,
    node_title,
    traffic_lines,
    worker_lines,
    worker_title,
)
from bolide.ops.balancer_top.rates import BalancerRates
from bolide.ops.terminal.columns import line
from bolide.ops.terminal.printable import printable
from bolide.ops.terminal.screen import Screen
from bolide.ops.terminal.tables import share

__all__ = ["BalancerView", "plain_lines"]

_FRAME_LINES: Final = 6
"""Two blank lines, and title and head of two tables."""


def plain_lines(rates: BalancerRates) -> Iterator[str]:
    """Write an overview as lines of any length, all rows that there are.

    Args:
        rates: What is shown.
    """
    seen = rates.overview
    yield balancer_line(rates).plain
    yield certificate_line(rates).plain
    yield from (told.plain for told in traffic_lines(rates))
    yield node_title(rates, len(seen.nodes)).plain
    yield from (told.plain for told in node_lines(seen.nodes))
    yield worker_title(rates).plain
    yield from (told.plain for told in worker_lines(seen.workers))


class BalancerView:
    """Draws a balancer on the whole terminal, cut to its size.

    Args:
        console: The terminal.
        place: Where the balancer was asked.
        interval_s: How often, seconds.

    Attributes:
        screen: To be entered before anything is shown.
    """

    def __init__(self, console: Console, place: str, interval_s: float) -> None:
        """Draw nothing yet."""
        self._console = console
        self._how = f"{place} every {interval_s:g} s; q ends"
        self._rates: BalancerRates | None = None
        self._problem = ""
        self.screen = Screen(console, self.picture)

    def show(self, rates: BalancerRates) -> None:
        """Draw what the balancer does now."""
        self._rates, self._problem = rates, ""
        self.screen.draw()

    def fail(self, problem: str) -> None:
        """Draw that the balancer did not answer, above what is known from before."""
        self._problem = problem
        self.screen.draw()

    def picture(self) -> RenderableType:
        """Return the drawing for the size that the terminal has now."""
        rates = self._rates
        if rates is None:
            return Text()
        width, height = self._console.size
        seen = rates.overview
        above = [certificate_line(rates), *traffic_lines(rates)]
        wanted = [len(seen.nodes), len(seen.workers)]
        given = share(wanted, max(0, height - _FRAME_LINES - len(above) - 2))
        # Those that are not well first, whatever the height.
        nodes = sorted(seen.nodes, key=lambda row: row.state == "up")[: given[0]]
        problem = line(f"● Old: {printable(self._problem)}", "red")
        return Group(
            problem if self._problem else balancer_line(rates),
            *above,
            line(self._how, "dim"),
            "",
            node_title(rates, len(nodes)),
            *node_lines(nodes, width),
            "",
            worker_title(rates),
            *worker_lines(seen.workers[: given[1]], width),
        )
