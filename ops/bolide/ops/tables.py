"""Show collections as tables that fit a terminal."""

from collections.abc import Iterable, Mapping, Sequence

from rich import box
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from bolide.client.status import ConnectionState, Status
from bolide.core.values import Document
from bolide.ops.printable import cell_text, printable

__all__ = ["CollectionTables", "share_rows", "status_text"]

_COLUMN_WIDTH = 9
"""Narrower columns say nothing: beyond this many per line, fields are only counted."""
_FRAME_LINES = 4
"""Title, head, rule and blank line of one table."""

_COLOURS = {
    ConnectionState.CONNECTING: "yellow",
    ConnectionState.CONNECTED: "green",
    ConnectionState.WAITING: "red",
    ConnectionState.CLOSED: "red",
    ConnectionState.FAILED: "red",
}


def status_text(status: Status, *, elapsed_s: float = 0.0) -> Text:
    """Say how the connection is, and why if it is not well; one line.

    Args:
        status: The client's.
        elapsed_s: Time since it began, seconds: the next attempt is that much nearer.
    """
    words = [status.state.value]
    if status.catching_up:
        words[0] += ", catching up"
    if status.reason is not None:
        words.append(printable(status.reason))
    if status.retry_in_s is not None:
        words.append(f"Next try in {max(0.0, status.retry_in_s - elapsed_s):.0f} s.")
    text = Text("● ", style=_COLOURS[status.state], no_wrap=True, overflow="ellipsis")
    return text.append(" ".join(words) if len(words) == 1 else f"{words[0]}: {' '.join(words[1:])}")


def share_rows(wanted: Sequence[int], rows: int) -> list[int]:
    """Share the lines of a screen among tables: small ones get all, the others the same each.

    Args:
        wanted: How many rows each would like.
        rows: How many there are.

    Returns:
        How many rows each gets, at least 1 if it wants any.
    """
    given = [0] * len(wanted)
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    for place, index in enumerate(order):
        fair = max(1, rows // (len(order) - place))
        given[index] = min(wanted[index], fair)
        rows -= given[index]
    return given


class CollectionTables:
    """One table per collection, cut to the height of the terminal.

    Args:
        collections: Documents by name of the collection, in the order they are to be shown.
        reserved: Lines of the screen that others use.
    """

    def __init__(self, collections: Mapping[str, Sequence[Document]], *, reserved: int = 0) -> None:
        """Keep what is to be shown."""
        self._collections = collections
        self._reserved = reserved

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Draw for the size that the terminal has now."""
        height = options.height or options.size.height
        rows = height - self._reserved - _FRAME_LINES * len(self._collections)
        shares = share_rows([len(documents) for documents in self._collections.values()], rows)
        columns = max(2, options.max_width // _COLUMN_WIDTH)
        for (name, documents), share in zip(self._collections.items(), shares, strict=True):
            yield Text(f"{printable(name)}  {len(documents)}", style="bold", no_wrap=True)
            if documents:
                yield _table(documents, rows=share, columns=columns)
            yield ""


def _table(documents: Sequence[Document], *, rows: int, columns: int) -> Table:
    """Draw documents of one collection; the last row tells how many documents are not shown."""
    hidden = len(documents) - rows
    shown = documents[: max(0, rows - 1)] if hidden else documents
    fields = _fields(shown)
    more = len(fields) - columns
    fields = fields[: columns - 1] if more > 0 else fields
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for field in fields:
        table.add_column(
            Text(printable(field), style="dim"),
            justify="right" if _is_numeric(shown, field) else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    if more > 0:
        table.add_column(Text(f"+{more + 1} fields", style="dim"), no_wrap=True)
    for document in shown:
        table.add_row(*(Text(cell_text(document[f]) if f in document else "") for f in fields))
    if hidden:
        table.add_row(Text(f"… {len(documents) - len(shown)} more", style="dim"))
    return table


def _fields(documents: Iterable[Document]) -> list[str]:
    """Return all fields, ``_id`` first, the others in the order in which they appear."""
    names = dict.fromkeys(["_id"])
    for document in documents:
        names |= dict.fromkeys(document)
    return list(names)


def _is_numeric(documents: Sequence[Document], field: str) -> bool:
    present = [document[field] for document in documents if field in document]
    return bool(present) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in present
    )
