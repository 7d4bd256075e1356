"""Projections: which fields of a document are shown."""

from operator import is_
from typing import Any, TypeAlias

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.paths import Parts, find_conflict, is_array, is_document, join, split
from bolide.core.values import UNDEFINED, Document

__all__ = ["Projection"]

# Name of a field -> the fields named inside it; empty: the field as a whole is named.
_Tree: TypeAlias = "dict[str, _Tree]"


class Projection:
    """A projection, compiled once.

    ``{"a": 1, "b.c": 1}`` shows these fields and ``_id``; ``{"a": 0}`` shows all others. ``_id``
    alone may be excluded from an inclusion. Arrays are traversed, and as in MongoDB an inclusion
    below a field leaves out what is no document, in arrays too.

    Attributes:
        including: The fields named are shown; False: they are hidden.
        includes_id: ``_id`` is shown.
        paths: The paths named, without an excluded ``_id``.
    """

    __slots__ = ("_tree", "includes_id", "including", "paths")

    def __init__(self, spec: Document | None) -> None:
        """Compile a projection.

        Args:
            spec: Paths with 1, 0, True or False; None and ``{}`` show everything.

        Raises:
            MinimongoError: If it is no projection, mixes including and excluding, names a path
                and another inside it, or uses an operator.
        """
        fields = _checked({} if spec is None else spec)
        self.includes_id = fields.get("_id", True)
        rest = fields if self.includes_id else {p: v for p, v in fields.items() if p != "_id"}
        if len(set(rest.values())) > 1:
            raise MinimongoError("A projection cannot mix including and excluding fields.")
        self.including = any(rest.values())
        self.paths = tuple(rest)
        named = [split(path) for path in rest]
        if self.including == self.includes_id and not any(parts[0] == "_id" for parts in named):
            named.append(("_id",))
        self._tree = _tree(named)

    def apply(self, document: Document) -> Document:
        """Return what the projection shows of a document.

        Returns:
            A new document whose untouched parts are the given one's own; the given document
            itself if nothing is left out.
        """
        shown = _include_fields if self.including else _exclude_fields
        return shown(document, self._tree)


def _checked(spec: Document) -> dict[str, bool]:
    """Return what each path asks for, after the checks that need only one path."""
    # The annotation is a promise of the caller, who may pass on what a client sent.
    if not is_document(spec):
        raise MinimongoError("A projection must be an object.")
    return {path: _checked_field(path, value) for path, value in spec.items()}


def _checked_field(path: str, value: object) -> bool:
    parts = split(path)
    if "" in parts:
        raise MinimongoError(f"The projection path {path!r} contains an empty field name.")
    if any(part.startswith("$") for part in parts):
        raise MinimongoError(f"Projections do not support the $ in {path!r}.")
    if isinstance(value, dict | list):
        raise MinimongoError(f"Projections do not support operators, as for {path!r}.")
    if not isinstance(value, int | float) or value not in (0, 1):
        raise MinimongoError(f"The projection of {path!r} must be 1, 0, true or false.")
    return bool(value)


def _tree(paths: list[Parts]) -> _Tree:
    """Arrange paths by their parts; none may lie inside another."""
    conflict = find_conflict(paths)
    if conflict is not None:
        outer, inner = map(join, conflict)
        raise MinimongoError(f"A projection cannot name both {outer!r} and {inner!r}.")
    tree: _Tree = {}
    for parts in paths:
        branch = tree
        for part in parts:
            branch = branch.setdefault(part, {})
    return tree


# Values have no static type here; each function looks at what it was given.
def _include(value: Any, tree: _Tree) -> Any:
    """Return what is shown of a value below a named field; UNDEFINED for nothing."""
    if is_document(value):
        return _include_fields(value, tree)
    if is_array(value):
        shown = [_include(element, tree) for element in value]
        kept = [element for element in shown if element is not UNDEFINED]
        return value if _same_elements(kept, value) else kept
    return UNDEFINED


def _include_fields(document: Document, tree: _Tree) -> Document:
    result: Document = {}
    whole = True
    for name, value in document.items():
        inner = tree.get(name)
        shown = UNDEFINED if inner is None else _include(value, inner) if inner else value
        if shown is not UNDEFINED:
            result[name] = shown
        whole = whole and shown is value
    return document if whole else result


def _exclude(value: Any, tree: _Tree) -> Any:
    """Return what is shown of a value in which something is hidden."""
    if is_document(value):
        return _exclude_fields(value, tree)
    if is_array(value):
        shown = [_exclude(element, tree) for element in value]
        return value if _same_elements(shown, value) else shown
    return value


def _exclude_fields(document: Document, tree: _Tree) -> Document:
    result = document
    for name, inner in tree.items():
        if name not in document:
            continue
        value = document[name]
        shown = _exclude(value, inner) if inner else UNDEFINED
        if shown is value:
            continue
        if result is document:
            result = dict(document)
        if shown is UNDEFINED:
            del result[name]
        else:
            result[name] = shown
    return result


def _same_elements(left: list[Any], right: list[Any]) -> bool:
    return len(left) == len(right) and all(map(is_, left, right))
