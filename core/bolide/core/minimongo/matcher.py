"""Selectors: which documents a query means."""

from collections.abc import Callable

# A selector comes from applications and clients, and may be of any kind.
from typing import Any, Final, TypeAlias

from bolide.core.minimongo.branches import Lookup
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.paths import is_array, is_document
from bolide.core.minimongo.selectors.conditions import (
    EVERYTHING,
    NOTHING,
    Condition,
    Container,
    DocumentCondition,
    Match,
    Test,
    ValueCondition,
    all_of,
    any_of,
    none_of,
)
from bolide.core.minimongo.selectors.value_operators import compile_value, element_test, unsupported
from bolide.core.values import UNDEFINED, Document, ObjectId

__all__ = ["MAX_SELECTOR_NESTING", "ElementMatcher", "Match", "Matcher"]

MAX_SELECTOR_NESTING: Final = 100
"""Most levels of objects and arrays in a selector, as in a document."""

_Record: TypeAlias = Callable[[str], object]


class Matcher:
    """A selector, compiled once.

    ``None``, ``UNDEFINED``, ``False`` and a falsy ``_id`` select nothing: they are more often a
    mistake than the wish for everything, which is ``{}``. A text, a number or an ``ObjectId``
    means the document with this ``_id``.

    Attributes:
        paths: The dotted paths that the answer depends on.
        has_near: The selector has a ``$near``, which also gives the order.
        matches: The fast form of :meth:`match`: takes a document, returns a bool.
    """

    __slots__ = ("_condition", "has_near", "matches", "paths")

    def __init__(self, selector: Any) -> None:
        """Compile a selector.

        Raises:
            MinimongoError: If it is no selector, or uses what is not supported here.
        """
        paths: set[str] = set()
        fields = selector_fields(selector)
        self._condition: DocumentCondition = (
            NOTHING if fields is None else _compile_document(fields, paths.add, is_root=True)
        )
        self.paths = frozenset(paths)
        self.has_near = fields is not None and any(
            is_document(asked) and "$near" in asked for asked in fields.values()
        )
        self.matches = self._condition.accepts

    def match(self, document: Document) -> Match:
        """Test a document; the answer also says where it matched, and how near it is."""
        return self._condition.match(document)


class ElementMatcher:
    """What ``$pull`` asks of the elements of an array, compiled once.

    Attributes:
        matches: Takes an element, returns a bool.
    """

    __slots__ = ("matches",)

    def __init__(self, selector: Any) -> None:
        """Compile what is asked of an element.

        Args:
            selector: Operators such as ``{"$gt": 3}`` for the element itself; a selector for
                elements that are documents; or any other value, for elements equal to it.

        Raises:
            MinimongoError: If it uses what is not supported here.
        """
        _check_nesting(selector)
        self.matches: Test = element_test(selector, _compile_inner_document)


def selector_fields(selector: Any) -> Document | None:
    """Return a selector as an object; None if it selects nothing.

    Raises:
        MinimongoError: If it is none, or nested too deeply.
    """
    if selector is None or selector is UNDEFINED or selector is False:
        return None
    fields = {"_id": selector} if _is_id(selector) else selector
    if not is_document(fields):
        raise MinimongoError("A selector must be an object, or the _id of a document.")
    _check_nesting(fields)
    return None if "_id" in fields and _is_falsy(fields["_id"]) else fields


def _is_id(selector: object) -> bool:
    return isinstance(selector, str | int | float | ObjectId) and not isinstance(selector, bool)


def _is_falsy(value: Any) -> bool:
    """Tell whether JavaScript takes a value as false."""
    if value is None or value is UNDEFINED:
        return True
    return isinstance(value, bool | int | float | str) and (not value or value != value)


def _check_nesting(selector: Any) -> None:
    """Refuse what is nested so deeply that compiling or matching it would exhaust the stack."""
    level = [selector]
    for _ in range(MAX_SELECTOR_NESTING):
        level = [inner for value in level for inner in _inner(value)]
        if not level:
            return
    raise MinimongoError(f"A selector may be nested at most {MAX_SELECTOR_NESTING} levels deep.")


def _inner(value: Any) -> list[Any]:
    if is_document(value):
        return list(value.values())
    return value if is_array(value) else []


def _compile_document(
    selector: Document, record: _Record, *, is_root: bool = False
) -> DocumentCondition:
    """Compile the selector of a document.

    Args:
        selector: Paths and logical operators.
        record: Called with each path.
        is_root: ``$near`` may stand here.
    """
    return all_of(
        [
            _compile_logical(name, asked, record)
            if name.startswith("$")
            else _compile_field(name, asked, record, is_root=is_root)
            for name, asked in selector.items()
        ]
    )


def _compile_inner_document(selector: Document) -> DocumentCondition:
    """Compile the selector of an array's elements, whose paths begin there."""
    return _compile_document(selector, lambda _: None)


def _compile_logical(name: str, operand: Any, record: _Record) -> DocumentCondition:
    if name == "$comment":
        return EVERYTHING
    combine = _LOGICAL.get(name)
    if combine is None:
        raise unsupported(name)
    if not is_array(operand) or not operand:
        raise MinimongoError(f"{name} needs an array with at least one selector.")
    conditions: list[DocumentCondition] = []
    for selector in operand:
        if not is_document(selector):
            raise MinimongoError(f"{name} can hold selectors only, which are objects.")
        conditions.append(_compile_document(selector, record))
    return combine(conditions)


_LOGICAL: Final[dict[str, Callable[[list[DocumentCondition]], DocumentCondition]]] = {
    "$and": all_of,
    "$or": any_of,
    "$nor": none_of,
}


def _compile_field(path: str, asked: Any, record: _Record, *, is_root: bool) -> DocumentCondition:
    record(path)
    value = compile_value(asked, _compile_inner_document, is_root=is_root)
    lookup = Lookup(path)

    def match(container: Container) -> Match:
        return value.match(lookup.find(container))

    if len(lookup.names) == 1:
        return Condition(_top_level_test(path, asked, value), match)
    return Condition(_dotted_test(lookup.names, value, match), match)


def _top_level_test(name: str, asked: Any, condition: ValueCondition) -> Test:
    accepts = condition.accepts
    if not isinstance(asked, str | ObjectId):
        return lambda document: accepts(document.get(name, UNDEFINED))

    # The most frequent condition of all, so it is spared a call.
    def equals(document: Document) -> bool:
        value = document.get(name)
        return bool(value == asked) or (isinstance(value, list) and accepts(value))

    return equals


def _dotted_test(
    names: tuple[str, ...], condition: ValueCondition, match: Callable[[Container], Match]
) -> Test:
    *outer, last = names
    accepts = condition.accepts

    def test(document: Document) -> bool:
        inner: Any = document
        for name in outer:
            inner = inner.get(name)
            if not is_document(inner):
                # Only an array leads to more than one value.
                return match(document).matched if is_array(inner) else accepts(UNDEFINED)
        return accepts(inner.get(last, UNDEFINED))

    return test
