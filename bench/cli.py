"""Define the command ``scripts/bench``."""

import json
import os
import signal
import sys
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from bench.balancer_rows import BALANCER_ROWS
from bench.figures.results import RowResult, markdown_table
from bench.figures.surroundings import Surroundings, describe_surroundings
from bench.outside import OUTSIDE_ROWS, is_there, run_outside
from bench.profile.profile import profile_row
from bench.rig.lock import only_bench
from bench.rig.material import WORK, BenchImpossible, prepare_material
from bench.rig.process import LOAD_CPU, MEASURED_CPU, allow_many_sockets, take_precedence
from bench.rounds import measure_rows
from bench.rows import NODE_ROWS, node_row

__all__ = ["main"]

_ROWS = (*NODE_ROWS, *BALANCER_ROWS)
_BY_NAME = {row.name: row for row in _ROWS}
_MISUSED = 2
_WIDTH = 150  # of tables in a file


def main() -> None:
    """Run the command line."""
    # So that the servers that run are stopped, too.
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    typer.run(bench)


def bench(
    rows: Annotated[
        list[str] | None, typer.Argument(help="Which rows; all of them if none is named.")
    ] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Interleaved rounds.")] = 9,
    profile: Annotated[
        str | None, typer.Option(metavar="ROW", help="Show where the CPU of one row goes instead.")
    ] = None,
    extra: Annotated[
        bool, typer.Option("--extra", help="Measure uvicorn with a lean class, without DDP, too.")
    ] = False,
    server: Annotated[
        list[str] | None,
        typer.Option(help="Measure only this one beside the reference, such as bolide-memory."),
    ] = None,
) -> None:
    """Measure Bolide beside its peers, and print the ratios.

    The rows: fanout, fanout-tls, coalesce, method, memory, live-queries, cross-process.
    A missed goal is no error: the status is 0 when everything was measured.
    """
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDTH)
    names = rows or [row.name for row in _ROWS] + list(filter(is_there, OUTSIDE_ROWS))
    if profile is not None:
        names = [profile]
    unknown = [name for name in names if name not in _BY_NAME and name not in OUTSIDE_ROWS]
    if unknown or (profile is not None and node_row(profile) is None):
        known = [row.name for row in NODE_ROWS]
        if profile is None:
            known = [*_BY_NAME, *OUTSIDE_ROWS]
        console.print(f"Unknown row {', '.join(unknown or names)}; there are {', '.join(known)}.")
        raise typer.Exit(_MISUSED)
    if not {MEASURED_CPU, LOAD_CPU} <= os.sched_getaffinity(0):
        console.print("The benches need two processors: one for the measured, one for the load.")
        raise typer.Exit(_MISUSED)
    allow_many_sockets()
    # Outside rows place their processes themselves, so they get both processors back.
    processors = os.sched_getaffinity(0)
    WORK.mkdir(exist_ok=True)
    results: list[RowResult] = []
    with ExitStack() as stack:
        stack.enter_context(only_bench(console.print))
        surroundings = describe_surroundings()
        take_precedence()
        try:
            ours = [row for name in names if (row := _BY_NAME.get(name)) is not None]
            if ours:
                material = prepare_material(console.print)
                os.sched_setaffinity(0, {LOAD_CPU})
                if profile is not None:
                    profile_row(ours[0], material, console)
                    return
                if extra:
                    ours = [row.with_extra() for row in ours]
                if server:
                    ours = [row.with_only(server) for row in ours]
                results += measure_rows(ours, rounds, material, console.print)
                os.sched_setaffinity(0, processors)
            for name in names:
                if name in OUTSIDE_ROWS:
                    results += run_outside(name, rounds, console.print)
        except BenchImpossible as reason:
            console.print(str(reason), markup=False)
            raise typer.Exit(1) from None
    _report(results, surroundings, console)


def _report(results: list[RowResult], surroundings: Surroundings, console: Console) -> None:
    """Print the table, and keep the figures and the text for the documentation."""
    heading = f"{surroundings.date}, {surroundings.commit}. {surroundings.machine}."
    heading += f" Load average at the start: {surroundings.load:.1f}."
    console.print(_table(results))
    console.print(heading, highlight=False)
    text = markdown_table(results, date=surroundings.date, commit=surroundings.commit)
    folder = WORK / "results"
    folder.mkdir(exist_ok=True)
    stem = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{surroundings.commit}"
    with (folder / f"{stem}.jsonl").open("w", encoding="utf-8") as output:
        for result in results:
            line = {"date": surroundings.date, "commit": surroundings.commit} | result.as_json()
            output.write(json.dumps(line) + "\n")
    page = folder / f"{stem}.md"
    page.write_text(f"{heading}\n\n{text}", encoding="utf-8")
    console.print(f"For docs/design/performance.md: {page}", highlight=False, soft_wrap=True)


def _table(results: list[RowResult]) -> Table:
    table = Table(title=r"Ratios to the reference in the same round: median \[p25..p75]")
    for heading in ("row", "server", "goal (stretch)", "ratio", "", "figure", "rounds"):
        table.add_column(heading)
    for result in results:
        for line in result.lines():
            colour = {"missed": "red", None: ""}.get(line.verdict, "green")
            table.add_row(
                line.row,
                line.server,
                "" if line.goal is None else str(line.goal),
                "" if line.ratio is None else str(line.ratio).replace("[", r"\["),
                f"[{colour}]{line.verdict}[/]" if line.verdict else "",
                ("-" if line.figure is None else str(line.figure).replace("[", r"\["))
                + f" {result.unit}"
                + "".join(f"\n({note})" for note in line.notes).replace("[", r"\["),
                str(result.rounds),
            )
        table.add_section()
    return table
