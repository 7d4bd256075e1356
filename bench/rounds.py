"""Run rows in interleaved rounds: every server once in each, so that ratios stay in one round."""

from collections.abc import Callable, Sequence

from bench.figures.results import RowResult
from bench.rig.material import Material
from bench.rig.process import DidNotStart
from bench.rig.servers import Server
from bench.rows import Row

__all__ = ["measure_rows"]


def measure_rows(
    rows: Sequence[Row], rounds: int, material: Material, say: Callable[[str], object]
) -> list[RowResult]:
    """Measure every server of every row once in each round.

    A node that does not start (without TLS, for instance) gets a note; a peer that does not start
    ends the run, because there is nothing to divide by. Ctrl-C ends it with the rounds that were
    complete.

    Args:
        rows: What to measure.
        rounds: How often.
        material: The tools and peers.
        say: Takes a line of progress for each figure.

    Raises:
        BenchImpossible: If a peer does not start.
    """
    results = {
        row.name: RowResult(
            row=row.name,
            unit=row.unit,
            reference=row.reference,
            ours=frozenset(server.name for server in row.servers if server.is_ours),
        )
        for row in rows
    }
    try:
        for round_ in range(1, rounds + 1):
            for row in rows:
                for server in order_of_round(row.servers, round_):
                    figure, note = _measure(row, server, material)
                    results[row.name].add(server.name, figure, note)
                    shown = f"{figure:.2f} {row.unit}" if figure is not None else f"- ({note})"
                    say(f"{round_}/{rounds} {row.name} {server.name}: {shown}")
    except KeyboardInterrupt:
        for row in rows:
            results[row.name].drop_part_of_round(server.name for server in row.servers)
    return list(results.values())


def order_of_round(servers: Sequence[Server], round_: int) -> Sequence[Server]:
    """Turn every second round around, so that no server always follows the same one."""
    return servers if round_ % 2 else servers[::-1]


def _measure(row: Row, server: Server, material: Material) -> tuple[float | None, str | None]:
    try:
        with server.start(material) as running:
            reading = row.measure(server, running, material)
    except DidNotStart as reason:
        if not server.is_ours:
            raise
        return None, str(reason)
    return reading.figure, reading.note
