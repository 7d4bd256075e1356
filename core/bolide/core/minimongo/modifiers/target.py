"""The place in a document that a modifier changes."""

from collections.abc import Callable
from dataclasses import dataclass

# Values have no static type here: each function looks at what it finds.
from typing import Any, Final, TypeAlias

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.paths import (
    MAX_NESTING,
    Parts,
    is_array,
    is_array_index,
    is_document,
    split,
)
from bolide.core.values import UNDEFINED, Document

__all__ = ["MAX_PADDING", "POSITIONAL", "Change", "Target"]

Change: TypeAlias = Callable[[Any], Any]
"""Makes the new value from the old one; UNDEFINED means absent, both ways."""

MAX_PADDING: Final = 1_500_000
"""Most elements that one modifier may add to an array in order to reach an index, as in MongoDB."""

POSITIONAL: Final = "$"
"""The part that stands for the array index that the selector matched."""

_MAX_INDEX_DIGITS: Final = 18


@dataclass(frozen=True, slots=True)
class Target:
    """A path that one operator changes, checked once.

    Attributes:
        where: Operator and path, as the start of a sentence: ``"$set of 'a.b'"``.
        parts: The path, cut at its dots.
        creates: What is missing on the way is made; False: then nothing is changed.
        enters_arrays: The path may lead through arrays; False: that is an error.
    """

    where: str
    parts: Parts
    creates: bool = True
    enters_arrays: bool = True

    @classmethod
    def parse(
        cls, operator: str, path: str, *, creates: bool = True, enters_arrays: bool = True
    ) -> "Target":
        """Read a path as it stands in a modifier.

        Raises:
            MinimongoError: If a part is empty, is nested too deep, or is a bad field name.
        """
        where = f"{operator} of {path!r}"
        parts = split(path)
        if "" in parts:
            raise MinimongoError(f"{where} has an empty field name in its path.")
        if len(parts) > MAX_NESTING:
            raise MinimongoError(f"{where} is nested deeper than {MAX_NESTING} levels.")
        if "\0" in path:
            raise MinimongoError(f"{where} has a null byte in its path.")
        positional = [part for part in parts if part.startswith("$")]
        if any(part != POSITIONAL for part in positional) or parts[0] == POSITIONAL:
            raise MinimongoError(f"{where} has a field name that starts with '$'.")
        if len(positional) > 1:
            raise MinimongoError(f"{where} has more than one positional '$'.")
        if positional and not enters_arrays:
            raise MinimongoError(f"{where} cannot be positional.")
        return cls(where, parts, creates, enters_arrays)

    def rewrite(self, document: Document, change: Change, array_index: int | None) -> Document:
        """Return the document with a new value in this place.

        Args:
            document: It stays as it is; the result shares its unchanged parts.
            change: Called at most once; not at all where the path ends before its last part.
            array_index: What the positional part stands for.

        Returns:
            A new document, or the given one if the change gives back the very value it was given.

        Raises:
            MinimongoError: If the path leads through what has no fields.
        """
        changed: Document = self._rewrite(document, 0, change, array_index)
        return changed

    def _rewrite(self, node: Any, level: int, change: Change, array_index: int | None) -> Any:
        if is_document(node):
            return self._rewrite_field(node, level, change, array_index)
        if is_array(node):
            return self._rewrite_element(node, level, change, array_index)
        if self.creates:
            raise MinimongoError(
                f"{self.where} cannot make the field {self.parts[level]!r} in a value that is "
                "neither a document nor an array."
            )
        return node

    def _rewrite_field(
        self, node: Document, level: int, change: Change, array_index: int | None
    ) -> Document:
        name = self.parts[level]
        if name == POSITIONAL:
            raise MinimongoError(f"{self.where} has its positional '$' outside of an array.")
        old = node.get(name, UNDEFINED)
        new = self._next(old, level, change, array_index)
        if new is old:
            return node
        if new is not UNDEFINED:
            return {**node, name: new}
        return {other: value for other, value in node.items() if other != name}

    def _rewrite_element(
        self, node: list[Any], level: int, change: Change, array_index: int | None
    ) -> list[Any]:
        index = self._index(level, array_index)
        if index is None or (index >= len(node) and not self.creates):
            return node
        if index - len(node) > MAX_PADDING:
            raise MinimongoError(f"{self.where} would add more than {MAX_PADDING} elements.")
        old = node[index] if index < len(node) else UNDEFINED
        new = self._next(old, level, change, array_index)
        if new is UNDEFINED:  # the elements behind it keep their indices
            new = None
        if new is old:
            return node
        array = [*node, *[None] * (index + 1 - len(node))]
        array[index] = new
        return array

    def _next(self, old: Any, level: int, change: Change, array_index: int | None) -> Any:
        if level + 1 == len(self.parts):
            return change(old)
        if old is UNDEFINED:
            if not self.creates:
                return UNDEFINED
            old = {}
        return self._rewrite(old, level + 1, change, array_index)

    def _index(self, level: int, array_index: int | None) -> int | None:
        part = self.parts[level]
        if not self.enters_arrays:
            raise MinimongoError(f"{self.where} cannot lead through an array.")
        if part == POSITIONAL:
            if array_index is None:
                raise MinimongoError(
                    f"{self.where} is positional, but the selector matched no array element."
                )
            return array_index
        if is_array_index(part):
            # A longer number would be slow to read, and is beyond every array.
            return int(part) if len(part) <= _MAX_INDEX_DIGITS else 10**_MAX_INDEX_DIGITS
        if self.creates:
            raise MinimongoError(f"{self.where} cannot use {part!r} as the index of an array.")
        return None
