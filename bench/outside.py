"""Rows that are measured by programs of their own: live queries, and several processes.

Such a program is ``bench/NAME.py``, run as ``python -m bench.NAME --rounds N``. Each line of its
output that is a JSON object is one row, in the form of :meth:`RowResult.from_json`; other lines are
for people and are shown as they come.
"""

import json
import subprocess
import sys
from collections.abc import Callable

from bench.figures.results import RowResult
from bench.rig.material import PROJECT, BenchImpossible

__all__ = ["OUTSIDE_ROWS", "is_there", "read_row", "run_outside"]

OUTSIDE_ROWS = {"live-queries": "live_queries", "cross-process": "cross_process"}
"""Name on the command line -> module in ``bench``."""


def is_there(row: str) -> bool:
    """Tell whether the program of a row exists."""
    return (PROJECT / "bench" / f"{OUTSIDE_ROWS[row]}.py").is_file()


def run_outside(row: str, rounds: int, say: Callable[[str], object]) -> list[RowResult]:
    """Run the program of a row.

    Args:
        row: One of :data:`OUTSIDE_ROWS`.
        rounds: How often it measures.
        say: Takes its lines that are no rows.

    Returns:
        Its rows; none if it prints tables only.

    Raises:
        BenchImpossible: If there is no such program, or it fails.
    """
    module = f"bench.{OUTSIDE_ROWS[row]}"
    if not is_there(row):
        raise BenchImpossible(f"{row} is measured by {module}, which is not there.")
    results: list[RowResult] = []
    with subprocess.Popen(
        [sys.executable, "-m", module, "--rounds", str(rounds)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=PROJECT,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            result = read_row(line)
            if result is None:
                say(line.rstrip("\n"))
            else:
                results.append(result)
    if process.returncode != 0:
        raise BenchImpossible(f"{module} ended with status {process.returncode}.")
    return results


def read_row(line: str) -> RowResult | None:
    """Return the row that a line holds, None if it is a line for people."""
    if not line.startswith("{"):
        return None
    try:
        return RowResult.from_json(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
