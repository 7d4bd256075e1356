"""Show collections as tables that fit a terminal."""

from collections.abc import Mapping, Sequence

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from bolide.client.connection.status import ConnectionState, Status
from bolide.core.values import Document
from bolide.ops.terminal.printable import cell_text, printable

__all__ = ["CollectionTables", "share", "status_text"]

_COLUMN_WIDTH = 9
"""Narrower columns say nothing: beyond this many per line, fields are only counted."""
_GAP = 2
"""Characters between two columns."""
_FRAME_LINES = 3
"""Title, head and blank line of one table."""

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
    text = Text("● ", style=_COLOURS[status.state], no_wrap=True, overflow="ellipsis")
    text.append(status.state.value)
    if status.catching_up:
        text.append(", catching up")
    if status.late_because is not None:
        text.append(f", late: {printable(status.late_because)}", "yellow")
    if status.retry_in_s is not None:
        text.append(f", next try in {max(0.0, status.retry_in_s - elapsed_s):.0f} s")
    return text if status.reason is None else text.append(f": {printable(status.reason)}")


def share(wanted: Sequence[int], amount: int) -> list[int]:
    """Share lines or columns of a screen: the modest get all they want, the others the same each.

    Args:
        wanted: How much each would like.
        amount: How much there is.

    Returns:
        How much each gets, at least 1 if it wants any.
    """
    given = [0] * len(wanted)
    order = sorted(range(len(wanted)), key=wanted.__getitem__)
    for place, index in enumerate(order):
        fair = max(1, amount // (len(order) - place))
        given[index] = min(wanted[index], fair)
        amount -= given[index]
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
        shares = share([len(documents) for documents in self._collections.values()], rows)
        for (name, documents), most in zip(self._collections.items(), shares, strict=True):
            shown = documents[:most]
            title = Text(printable(name), style="bold", no_wrap=True)
            hidden = len(documents) - len(shown)
            title.append(f"  {len(documents)}{f', {hidden} not shown' if hidden else ''}")
            yield title
            if shown:
                yield _table(shown, options.max_width)
            yield ""


def _table(documents: Sequence[Document], width: int) -> Table:
    """Draw documents as rows; no line is longer than ``width``."""
    fields = _fields(documents)
    fitting = max(1, width // _COLUMN_WIDTH)
    hidden = len(fields) - fitting if len(fields) > fitting else 0
    if hidden:
        hidden += 1  # one column says how many
        fields = fields[:-hidden]
    columns = [_column(documents, field) for field in fields]
    if hidden:
        columns.append([Text(f"+{hidden} fields", style="dim")])
    room = width - _GAP * (len(columns) - 1)
    widths = share([max(cell.cell_len for cell in column) for column in columns], room)
    table = Table(box=None, pad_edge=False, padding=(0, _GAP, 0, 0))
    for index, column in enumerate(columns):
        is_numeric = index < len(fields) and _is_numeric(documents, fields[index])
        table.add_column(
            column[0],
            width=widths[index],
            justify="right" if is_numeric else "left",
            no_wrap=True,
            overflow="ellipsis",
        )
    for number in range(1, len(documents) + 1):
        table.add_row(*(column[number] for column in columns[: len(fields)]))
    return table


def _fields(documents: Sequence[Document]) -> list[str]:
    """Return all fields, ``_id`` first, the others in the order in which they appear."""
    names = dict.fromkeys(["_id"])
    for document in documents:
        names |= dict.fromkeys(document)
    return list(names)


def _column(documents: Sequence[Document], field: str) -> list[Text]:
    """Return the head of a field and its cells."""
    head = Text(printable(field), style="dim")
    return [head, *(Text(cell_text(one[field]) if field in one else "") for one in documents)]


def _is_numeric(documents: Sequence[Document], field: str) -> bool:
    present = [document[field] for document in documents if field in document]
    return bool(present) and all(
        isinstance(value, int | float) and not isinstance(value, bool) for value in present
    )
