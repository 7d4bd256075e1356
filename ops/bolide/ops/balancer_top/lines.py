"""Write an overview of a balancer as lines."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from rich.text import Text

from bolide.balancer.supervisor.cluster import NodeRow
from bolide.balancer.supervisor.worker_pool import WorkerRow
from bolide.ops.balancer_top.rates import BalancerRates, labelled
from bolide.ops.terminal.amounts import age_text, count_text, rate_text
from bolide.ops.terminal.columns import Column, line, plural, rows, title
from bolide.ops.terminal.printable import printable

__all__ = [
    "balancer_line",
    "certificate_line",
    "node_lines",
    "node_title",
    "traffic_lines",
    "worker_lines",
    "worker_title",
]

_DAY_S: Final = 86_400
_SOON_S: Final = 10 * _DAY_S
_STYLES: Final = {"up": "", "probation": "yellow", "draining": "yellow", "down": "red"}
_SHOWN_REASONS: Final = 6

_NODE_COLUMNS: Final[Sequence[Column[NodeRow]]] = (
    Column("node", 24, lambda row: printable(row.name), is_left=True),
    Column("address", 24, lambda row: printable(row.address), is_left=True, is_spare=True),
    Column("state", 16, lambda row: _state(row), is_left=True),
    Column("sessions", 8, lambda row: "-" if row.sessions is None else count_text(row.sessions)),
    Column("conns", 6, lambda row: count_text(row.connections)),
    Column("weight", 6, lambda row: f"{row.weight:g}", is_spare=True),
    Column("probe", 8, lambda row: _milliseconds(row.probe_s)),
    Column("failed", 6, lambda row: count_text(row.probe_failures)),
)

_WORKER_COLUMNS: Final[Sequence[Column[WorkerRow]]] = (
    Column("worker", 8, lambda row: str(row.pid)),
    Column("state", 8, lambda row: "works" if row.is_ready else "not yet", is_left=True),
    Column("conns", 6, lambda row: count_text(row.connections)),
    Column("WebSockets", 10, lambda row: count_text(row.tunnels)),
    Column("accepted", 8, lambda row: count_text(row.accepted)),
)


def balancer_line(rates: BalancerRates) -> Text:
    """Say what the balancer is and how it is."""
    seen = rates.overview
    text = Text(no_wrap=True, overflow="ellipsis")
    if seen.is_retiring:
        text.append("● ends", "yellow")
    elif seen.is_ready:
        text.append("● ready", "green")
    else:
        text.append("● takes nobody to a node", "red")
    text.append(f"  {printable(seen.cluster)}  up {age_text(seen.uptime_s)}")
    for source in seen.lost_sources:
        text.append(f"  {printable(source)} cannot be asked", "red")
    if seen.reloads_refused:
        text.append(f"  settings refused {seen.reloads_refused} x", "yellow")
    return text.append(f"  pid {seen.pid}  Bolide {printable(seen.version)}")


def certificate_line(rates: BalancerRates) -> Text:
    """Say when the certificates end, the next one first."""
    text = Text(no_wrap=True, overflow="ellipsis").append("● certificates")
    ends = sorted(rates.overview.certificates_end_in_s.items(), key=lambda item: item[1])
    for setting, left_s in ends:
        if left_s <= 0:
            text.append(f"  {printable(setting)} has ended", "red")
        else:
            style = "yellow" if left_s < _SOON_S else ""
            text.append(f"  {printable(setting)} ends in {age_text(left_s, units=1)}", style)
    return text if ends else text.append("  none")


def traffic_lines(rates: BalancerRates) -> Iterator[Text]:
    """Say what goes through it, in two lines, and what was refused, if anything was."""
    counts = rates.overview.counts

    def number(series: str) -> str:
        return count_text(int(counts.get(series, 0)))

    def rate(series: str) -> str:
        return f"{rate_text(rates.rate(series))}/s"

    queued = int(counts.get("queued", 0))
    text = line(
        f"connections {number('connections_open')}, {rate('connections_total')}"
        f"  WebSockets {number('tunnels_open')}, {rate('tunnels_total')}"
    )
    if queued:
        text.append(f"  {count_text(queued)} wait for a node", "yellow")
    yield text
    yield line(
        f"responses {_each(rates, 'responses_total') or 'none'}"
        f"  handshakes {_each(rates, 'handshakes_total') or 'none'}"
    )
    for name, metric in (
        ("refused", "refusals_total"),
        ("WebSockets ended", "tunnels_ended_total"),
    ):
        if told := _each(rates, metric):
            yield line(f"{name} {told}")
    failed = {
        labels: count
        for labels, count in labelled(counts, "node_outcomes_total").items()
        if "answered" not in labels and count
    }
    if failed:
        told = ", ".join(
            f"{' '.join(map(printable, labels))} {count_text(int(count))}"
            for labels, count in _most(failed)
        )
        yield line(f"connections to nodes that failed {told}", "yellow")


def node_title(rates: BalancerRates, shown: int) -> Text:
    """Say how the nodes are, all together.

    Args:
        rates: With all of them.
        shown: How many of them have a line.
    """
    nodes = rates.overview.nodes
    parts = [
        f"{count} {state}"
        for state in ("down", "draining", "probation")
        if (count := sum(row.state == state for row in nodes))
    ]
    told = [row.sessions for row in nodes if row.sessions is not None]
    if told:
        parts.append(f"{count_text(sum(told))} {plural('session', sum(told))}")
    return title("Nodes", len(nodes), shown, parts)


def node_lines(nodes: Sequence[NodeRow], width: int | None = None) -> Iterator[Text]:
    """Write one line for each node, below a head.

    Args:
        nodes: In this order.
        width: Columns of the terminal; None: as many as it takes.
    """
    head, *cells = rows(_NODE_COLUMNS, nodes, width)
    yield line(f"{head}why", "dim")
    for row, text in zip(nodes, cells, strict=True):
        yield line(f"{text}{printable(row.why)}".rstrip(), _STYLES[row.state])


def worker_title(rates: BalancerRates) -> Text:
    """Say how the workers are, all together."""
    seen = rates.overview
    parts = [f"{seen.worker_restarts} ended and replaced"] if seen.worker_restarts else []
    return title("Workers", len(seen.workers), len(seen.workers), parts)


def worker_lines(workers: Sequence[WorkerRow], width: int | None = None) -> Iterator[Text]:
    """Write one line for each worker, below a head.

    Args:
        workers: In this order.
        width: Columns of the terminal; None: as many as it takes.
    """
    head, *cells = rows(_WORKER_COLUMNS, workers, width)
    yield line(head.rstrip(), "dim")
    for row, text in zip(workers, cells, strict=True):
        yield line(text.rstrip(), "" if row.is_ready else "yellow")


def _state(row: NodeRow) -> str:
    if row.is_held:
        return f"{row.state}, asked"
    return f"{row.state}, ejected" if row.is_ejected else row.state


def _milliseconds(seconds: float | None) -> str:
    return "-" if seconds is None else f"{seconds * 1000:.1f} ms"


def _each(rates: BalancerRates, metric: str) -> str:
    """Name each series of a counter with its number, and its rate while there is any."""
    per_s = labelled(rates.per_s, metric)
    parts: list[str] = []
    for labels, count in _most(labelled(rates.overview.counts, metric)):
        if count:
            grown = f" ({rate_text(per_s[labels])}/s)" if per_s.get(labels) else ""
            parts.append(f"{' '.join(map(printable, labels))} {count_text(int(count))}{grown}")
    return ", ".join(parts)


def _most(counts: Mapping[tuple[str, ...], float]) -> list[tuple[tuple[str, ...], float]]:
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN_REASONS]
