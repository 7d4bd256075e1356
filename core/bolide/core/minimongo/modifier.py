"""Modifiers: how an update changes a document."""

# Documents hold values of any type.
from typing import Any, Final

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.modifiers.operators import Moment, Update, compile_update
from bolide.core.minimongo.modifiers.storable import is_same, storable
from bolide.core.minimongo.paths import (
    MAX_NESTING,
    find_conflict,
    is_array,
    is_document,
    join,
    split,
)
from bolide.core.values import Document, ObjectId, Regex

__all__ = ["Modifier", "upsert_document"]

_ID: Final = "_id"


class Modifier:
    """A modifier, compiled and checked once.

    ``{"$set": {"a": 1}}`` changes fields, in the order given; ``{"a": 1}`` replaces all fields but
    ``_id``. As in MongoDB, no path may be given twice or lie inside another; as in Meteor, field
    names may neither start with ``$`` nor contain a dot, and ``$min`` and ``$max`` compare numbers
    with numbers and dates with dates only.

    Attributes:
        is_replacement: It replaces the document.
        paths: The paths it may change, both ends of a ``$rename`` among them; for a replacement
            its top-level fields.
    """

    __slots__ = ("_replacement", "_updates", "is_replacement", "paths")

    def __init__(self, spec: Document) -> None:
        """Compile a modifier.

        Args:
            spec: Operators, or the fields of a replacement; copied.

        Raises:
            MinimongoError: If it cannot work on any document.
        """
        # The annotation is a promise of the caller, who may pass on what a client sent.
        if not is_document(spec):
            raise MinimongoError("A modifier must be an object.")
        self.is_replacement = not any(str(name).startswith("$") for name in spec)
        self._replacement: Document = {}
        self._updates: tuple[Update, ...] = ()
        if self.is_replacement:
            self._replacement = storable(spec, "The replacement", around=0)
            self.paths = tuple(spec)
        else:
            entries = [entry for name, operand in spec.items() for entry in _entries(name, operand)]
            self._updates = tuple(compile_update(*entry) for entry in entries)
            self.paths = tuple(path for entry in entries for path in _changed_paths(*entry))
            _check_conflicts(self.paths)

    def apply(
        self,
        document: Document,
        *,
        now_ms: int,
        array_indices: tuple[int, ...] | None = None,
        is_insert: bool = False,
    ) -> Document:
        """Return the changed document.

        Args:
            document: It stays as it is; the result shares its unchanged parts.
            now_ms: What ``$currentDate`` sets: UTC milliseconds since 1970.
            array_indices: Those of the selector's match; the first is the positional ``$``.
            is_insert: The document is about to be inserted: ``$setOnInsert`` counts.

        Returns:
            A new document, or the given one if nothing changes.

        Raises:
            MinimongoError: If it does not fit this document, or would change its ``_id``.
        """
        if self.is_replacement:
            changed = self._replaced(document)
        else:
            moment = Moment(now_ms, array_indices[0] if array_indices else None, is_insert)
            changed = document
            for update in self._updates:
                changed = update.apply(changed, moment)
        if changed is not document and _ID in document and not _has_same_id(document, changed):
            raise MinimongoError("The _id of a document cannot be changed.")
        return changed

    def _replaced(self, document: Document) -> Document:
        changed = {**self._replacement}
        if _ID in document:
            changed = {_ID: document[_ID], **changed}
        return document if is_same(document, changed) else changed


def upsert_document(selector: Any, modifier: Modifier, *, now_ms: int) -> Document:
    """Make the document that an upsert inserts when nothing matches.

    It starts with what the selector says its fields equal, as MongoDB and Meteor do: literals,
    ``$eq``, ``$all``, ``$in`` with one value, also within ``$and`` and ``$or`` with one branch. A
    replacement keeps only ``_id``.

    Args:
        selector: A selector, or an ``_id``.
        modifier: What the document then undergoes, with ``$setOnInsert``.
        now_ms: As for :meth:`Modifier.apply`.

    Returns:
        The document, ``_id`` first; without ``_id`` if neither names one.

    Raises:
        MinimongoError: If the selector gives a field two values, or the modifier does not fit.
    """
    equalities: dict[str, Any] = {}
    if is_document(selector):
        _collect(selector, equalities)
    elif isinstance(selector, str | ObjectId | int | float) and not isinstance(selector, bool):
        equalities[_ID] = selector
    document = Modifier({"$set": equalities}).apply({}, now_ms=now_ms)
    if modifier.is_replacement:
        document = {_ID: document[_ID]} if _ID in document else {}
    document = modifier.apply(document, now_ms=now_ms, is_insert=True)
    return {_ID: document[_ID], **document} if _ID in document else document


def _entries(operator: str, operand: object) -> list[tuple[str, str, Any]]:
    if not str(operator).startswith("$"):
        raise MinimongoError("A modifier cannot mix operators and fields.")
    if not is_document(operand):
        raise MinimongoError(f"{operator} needs an object of paths.")
    if not all(map(_is_text, operand)):
        raise MinimongoError(f"{operator} has a path that is no text.")
    return [(operator, path, value) for path, value in operand.items()]


def _is_text(name: object) -> bool:
    return isinstance(name, str)


def _changed_paths(operator: str, path: str, operand: Any) -> tuple[str, ...]:
    return (path, operand) if operator == "$rename" else (path,)


def _check_conflicts(paths: tuple[str, ...]) -> None:
    conflict = find_conflict(map(split, paths))
    if conflict is not None:
        outer, inner = map(join, conflict)
        raise MinimongoError(f"A modifier cannot change both {outer!r} and {inner!r}.")


def _has_same_id(old: Document, new: Document) -> bool:
    return _ID in new and is_same(old[_ID], new[_ID])


def _collect(selector: Any, equalities: dict[str, Any], level: int = 1) -> None:
    """Add what the selector says about the values of fields."""
    if not is_document(selector):
        raise MinimongoError("A branch of the selector is no object.")
    if level > MAX_NESTING:
        raise MinimongoError(f"The selector is nested deeper than {MAX_NESTING} levels.")
    for name, value in selector.items():
        if name in ("$and", "$or") and not is_array(value):
            raise MinimongoError(f"{name} needs an array of selectors.")
        if name == "$and" or (name == "$or" and len(value) == 1):
            for branch in value:
                _collect(branch, equalities, level + 1)
        elif not name.startswith("$"):
            _collect_field(name, value, equalities)


def _collect_field(path: str, value: Any, equalities: dict[str, Any]) -> None:
    for literal in _literals(path, value):
        if isinstance(literal, Regex):
            continue
        if path in equalities:
            raise MinimongoError(f"The selector gives {path!r} two values.")
        equalities[path] = literal


def _literals(path: str, value: Any) -> list[Any]:
    """Return what a condition wants the field to equal."""
    if not is_document(value) or not _has_operators(value):
        return [value]
    if not all(name.startswith("$") for name in value):
        raise MinimongoError(f"The selector mixes operators and fields for {path!r}.")
    every, one = value.get("$all", []), value.get("$in", [])
    if not is_array(every) or not is_array(one):
        raise MinimongoError(f"$all and $in of {path!r} need arrays of values.")
    wanted = [*every, *one] if len(one) == 1 else every
    if "$eq" in value:
        wanted = [value["$eq"], *wanted]
    # $all may hold $elemMatch, which no single value satisfies.
    return [item for item in wanted if not (is_document(item) and _has_operators(item))]


def _has_operators(value: Document) -> bool:
    return any(name.startswith("$") for name in value)
