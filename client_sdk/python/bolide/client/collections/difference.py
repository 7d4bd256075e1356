"""The steps that turn one ordered result into another.

As few documents move as possible: those that keep their order among each other, a longest
increasing subsequence, stay where they are, as in Meteor's ``diffQueryOrderedChanges``.
"""

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from bolide.client.collections.changes import Added, Change, Changed, Moved, Removed
from bolide.core.keys import Key
from bolide.core.values import Document, equals

__all__ = ["Row", "difference"]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One document of a result; as long as it shows the same it is the same object.

    Attributes:
        key: Hashable form of its id.
        id: Its ``_id``.
        document: The document as the query shows it.
    """

    key: Key
    id: Any
    document: Document


def difference(before: Sequence[Row], after: Sequence[Row]) -> list[Change]:
    """Tell how one result became another.

    Args:
        before: Rows with different keys.
        after: Likewise.

    Returns:
        Steps to be applied one after the other: what is gone, from the end to the beginning; then
        what was added, moved or changed, from the beginning to the end.
    """
    start, end = 0, min(len(before), len(after))
    while start < end and before[start] is after[start]:
        start += 1
    tail = 0
    while tail < end - start and before[-1 - tail] is after[-1 - tail]:
        tail += 1
    return _steps(before[start : len(before) - tail], after[start : len(after) - tail], start)


def _steps(before: Sequence[Row], after: Sequence[Row], offset: int) -> list[Change]:
    kept = {row.key for row in after}
    steps: list[Change] = [
        Removed(row.id, offset + index, row.document)
        for index, row in reversed(list(enumerate(before)))
        if row.key not in kept
    ]
    former = {row.key: row for row in before if row.key in kept}
    keys = list(former)
    steady = _steady(
        {key: position for position, key in enumerate(former)},
        [(row.key, former[row.key] is row) for row in after if row.key in former],
    )
    position = 0  # behind the row that was placed last
    for row in after:
        old = former.get(row.key)
        if old is None:
            keys.insert(position, row.key)
            steps.append(Added(row.id, offset + position, row.document))
        elif row.key in steady:
            position = keys.index(row.key, position)
        else:
            origin = keys.index(row.key)
            del keys[origin]
            if origin < position:
                position -= 1
            keys.insert(position, row.key)
            steps.append(Moved(row.id, offset + origin, offset + position, old.document))
        if old is not None and old is not row:
            steps.append(_changed(old.document, row, offset + position))
        position += 1
    return steps


def _changed(before: Document, row: Row, index: int) -> Changed:
    fields = {
        name: value
        for name, value in row.document.items()
        if name not in before or not equals(before[name], value)
    }
    cleared = tuple(name for name in before if name not in row.document)
    return Changed(row.id, index, row.document, fields, cleared)


def _steady(positions: dict[Key, int], rows: Sequence[tuple[Key, bool]]) -> set[Key]:
    """Choose rows that stay: as many as possible, and of equal choices the unchanged ones.

    Args:
        positions: Where each row stood.
        rows: Key of each row in its new order, and whether it shows the same as before.
    """
    longest = _longest_increasing(positions, [key for key, _ in rows])
    chosen = _longest_increasing(positions, [key for key, is_same in rows if is_same])
    # Changed rows may stay too where they stand between unchanged ones that do.
    ceilings: list[int] = []
    ceiling = len(positions)
    for key, _ in reversed(rows):
        ceiling = positions[key] if key in chosen else ceiling
        ceilings.append(ceiling)
    floor = -1
    for key, _ in rows:
        ceiling = ceilings.pop()
        if key in chosen or floor < positions[key] < ceiling:
            chosen.add(key)
            floor = positions[key]
    return longest if len(chosen) < len(longest) else chosen


def _longest_increasing(positions: dict[Key, int], keys: Sequence[Key]) -> set[Key]:
    """Choose keys, as many as possible, whose positions increase."""
    ends: list[int] = []  # the smallest last position of a chain, by the chain's length
    chains: list[tuple[Key, int]] = []  # key and, as an index of this list, the link before it
    last: list[int] = []  # the link that ends the chain of each length
    for key in keys:
        length = bisect_left(ends, positions[key])
        chains.append((key, last[length - 1] if length else -1))
        if length == len(ends):
            ends.append(positions[key])
            last.append(len(chains) - 1)
        else:
            ends[length] = positions[key]
            last[length] = len(chains) - 1
    chosen: set[Key] = set()
    link = last[-1] if last else -1
    while link >= 0:
        key, link = chains[link]
        chosen.add(key)
    return chosen
