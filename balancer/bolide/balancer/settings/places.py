"""On which line of a TOML file each key stands: ``tomllib`` does not tell.

A file is cut into statements: a statement is complete as soon as its lines can be read alone, and
what is read of them alone names the table or the key.
"""

import tomllib
from collections.abc import Sequence
from typing import Any, TypeAlias, cast

__all__ = ["KeyPath", "lines_of_keys"]

KeyPath: TypeAlias = tuple[str | int, ...]
"""Names of tables and a key, and the numbers of tables in arrays, such as
``("certificate", 0, "chain")``."""


def lines_of_keys(text: str) -> dict[KeyPath, int]:
    """Return where each key, and each table, of a TOML file is written first.

    Args:
        text: TOML that can be read.

    Returns:
        Path of the key -> number of its line, from 1. Keys of inline tables are there, too, with
        the line of the statement.
    """
    places: dict[KeyPath, int] = {}
    table: KeyPath = ()
    counts: dict[KeyPath, int] = {}
    statement, begins = "", 1
    for number, line in enumerate(text.split("\n"), start=1):
        if not statement:
            begins = number
        statement += line + "\n"
        try:
            read = tomllib.loads(statement)
        except tomllib.TOMLDecodeError:
            continue
        if statement.lstrip().startswith("["):
            table = _path_of_header(read, counts)
            _note(places, table, begins)
        else:
            _note_keys(places, table, read, begins)
        statement = ""
    return places


def _path_of_header(read: dict[str, Any], counts: dict[KeyPath, int]) -> KeyPath:
    """Return the path of ``[a.b]`` or ``[[a.b]]``; tables within arrays are in the last of them."""
    path: KeyPath = ()
    inner: Any = read
    while inner and isinstance(inner, dict):
        ((key, inner),) = cast("dict[str, Any]", inner).items()
        path += (key,)
        if isinstance(inner, list):
            counts[path] = counts.get(path, -1) + 1
            return (*path, counts[path])
        if inner and path in counts:
            path += (counts[path],)
    return path


def _note_keys(places: dict[KeyPath, int], table: KeyPath, value: Any, line: int) -> None:
    items: Any = ()
    if isinstance(value, dict):
        items = cast("dict[str, Any]", value).items()
    elif isinstance(value, list):
        items = enumerate(cast("Sequence[Any]", value))
    for key, inner in items:
        _note(places, (*table, key), line)
        _note_keys(places, (*table, key), inner, line)


def _note(places: dict[KeyPath, int], path: KeyPath, line: int) -> None:
    for end in range(1, len(path) + 1):
        places.setdefault(path[:end], line)
