"""Show what a database file is like."""

from collections.abc import Iterator

from rich.console import Console
from rich.table import Table

from bolide.ops.terminal.amounts import size_text
from bolide.ops.terminal.printable import printable
from bolide.server.stores.sqlite.inspection import FileReport

__all__ = ["print_report", "report_rows"]


def report_rows(report: FileReport, max_bytes: int) -> Iterator[tuple[str, str]]:
    """Yield names and values, both for people; nothing in them comes from a document.

    Args:
        report: About the file.
        max_bytes: The limit ``store_max_bytes``.
    """
    yield "file", str(report.path)
    yield "state", _state(report)
    for problem in report.problems:
        yield "problem", problem
    yield "file system", f"{report.file_system or 'unknown'}, {size_text(report.free_bytes)} free"
    running = ", ".join(map(str, report.processes))
    yield "processes", f"{len(report.processes)} ({running})" if running else "none"
    if not report.exists or report.is_new:
        return
    yield "size", f"{size_text(report.file_bytes)}, and {size_text(report.log_bytes)} of log"
    if report.format is not None:
        yield "format", str(report.format)
    if report.oldest is not None:
        kept = report.position - report.oldest + 1
        yield "changes", f"{report.position}; {kept} are kept, the oldest is {report.oldest}"
    total = sum(collection.bytes for collection in report.collections)
    yield "documents", f"{size_text(total)} of {size_text(max_bytes)} ({total / max_bytes:.0%})"
    for collection in report.collections:
        yield f"  {collection.name}", f"{collection.documents} in {size_text(collection.bytes)}"


def print_report(report: FileReport, max_bytes: int, console: Console) -> None:
    """Print it: on a terminal as a table, otherwise as plain lines.

    Args:
        report: About the file.
        max_bytes: The limit ``store_max_bytes``.
        console: Where to.
    """
    rows = [(printable(name), printable(value)) for name, value in report_rows(report, max_bytes)]
    if not console.is_terminal:
        for name, value in rows:
            console.print(f"  {name:24}{value}", markup=False, highlight=False, soft_wrap=True)
        return
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 2, 0, 2))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in rows:
        table.add_row(name, value, style="red" if report.problems and name == "problem" else "")
    console.print(table)


def _state(report: FileReport) -> str:
    if not report.exists:
        return "not there yet: the first node makes it"
    if report.is_new:
        return "empty: the first node begins a store in it"
    return "not usable: see the problems below" if report.problems else "sound"
