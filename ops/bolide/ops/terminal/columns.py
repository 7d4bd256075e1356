"""Lines of a table as `top` shows them: short cells, aligned, fewer on a narrow terminal."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from rich.text import Text

__all__ = ["GAP", "Column", "line", "plural", "rows", "title"]

GAP: Final = "  "
"""Between two columns."""
_ROOMY: Final = 100
"""Columns from which on everything is told."""

_Item = TypeVar("_Item")


@dataclass(frozen=True, slots=True)
class Column(Generic[_Item]):
    """One column.

    Attributes:
        title: Its head.
        width: Characters, or fewer if no cell needs them; longer cells push what follows.
        cell: Makes a cell.
        is_left: Aligned to the left.
        is_spare: Left out on a narrow terminal.
    """

    title: str
    width: int
    cell: Callable[[_Item], str]
    is_left: bool = False
    is_spare: bool = False

    def cells(self, items: Sequence[_Item]) -> Sequence[str]:
        """Return the head and the cells, all of one width."""
        texts = [self.title, *map(self.cell, items)]
        width = min(self.width, max(map(len, texts)))
        return [text.ljust(width) if self.is_left else text.rjust(width) for text in texts]


def rows(
    columns: Sequence[Column[_Item]], items: Sequence[_Item], width: int | None
) -> Iterator[str]:
    """Yield the beginnings of the head's line and of the items' lines.

    Args:
        columns: From left to right.
        items: From top to bottom.
        width: Columns of the terminal; None: as many as it takes.
    """
    is_roomy = width is None or width >= _ROOMY
    kept = [column.cells(items) for column in columns if is_roomy or not column.is_spare]
    for cells in zip(*kept, strict=True):
        yield "".join(f"{cell}{GAP}" for cell in cells)


def line(text: str, style: str = "") -> Text:
    """Return one line, cut at the edge of the terminal."""
    return Text(text, style=style, no_wrap=True, overflow="ellipsis")


def title(name: str, count: int, shown: int, parts: Sequence[str]) -> Text:
    """Return the line above a table.

    Args:
        name: What is in it.
        count: How many there are.
        shown: How many of them have a line.
        parts: What is to be said of all together.
    """
    text = Text(f"{name}  {count}", style="bold", no_wrap=True, overflow="ellipsis")
    hidden = [f"{count - shown} not shown"] if count > shown else []
    text.append(f"  {', '.join([*hidden, *parts])}", "not bold")
    return text


def plural(noun: str, number: int) -> str:
    """Return a noun for so many."""
    return noun if number == 1 else f"{noun}s"
