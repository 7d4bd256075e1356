"""The operators that stand below a field in a selector, such as ``$gt``."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

# Operands and values are of any kind.
from typing import Any, Final, TypeAlias

from bolide.core.minimongo.branches import Branch, expand, positions
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.mongodb_only import MONGODB_ONLY
from bolide.core.minimongo.paths import is_array, is_document
from bolide.core.minimongo.regexes.regex import regex_test
from bolide.core.minimongo.selectors.bson_types import type_test
from bolide.core.minimongo.selectors.conditions import (
    EVERYTHING,
    NOTHING,
    Arrays,
    Condition,
    DocumentCondition,
    Match,
    Test,
    ValueCondition,
    all_of,
    inverted,
    of_elements,
)
from bolide.core.minimongo.selectors.element_tests import (
    bits_test,
    equality_test,
    inequality_test,
    membership_test,
    remainder_test,
    size_test,
)
from bolide.core.minimongo.selectors.geometry import (
    Point,
    geojson_distance,
    plane_distance,
    point_of,
)
from bolide.core.values import UNDEFINED, Document, Regex

__all__ = ["compile_value", "element_test", "unsupported"]

_LOGICAL_OPERATORS: Final = frozenset({"$and", "$or", "$nor"})

CompileDocument: TypeAlias = Callable[[Document], DocumentCondition]
"""Compiles the selector of an array's elements."""


@dataclass(frozen=True, slots=True)
class _Site:
    """Where an operator stands.

    Attributes:
        operators: The operator with its neighbours, such as ``$regex`` and ``$options``.
        compile_document: Compiles the selector in an ``$elemMatch``.
        is_root: The field stands at the top of the selector, where alone ``$near`` may stand.
    """

    operators: Mapping[str, Any]
    compile_document: CompileDocument
    is_root: bool


def compile_value(
    selector: Any, compile_document: CompileDocument, *, is_root: bool = False
) -> ValueCondition:
    """Compile what a selector asks of a field: a value, a regular expression, or operators.

    Raises:
        MinimongoError: If an operator is unknown or does not understand its operand.
    """
    if isinstance(selector, Regex):
        return of_elements(regex_test(selector.pattern, selector.flags))
    if not _has_operators(selector):
        return of_elements(equality_test(selector))
    site = _Site(selector, compile_document, is_root)
    return all_of([_compile_operator(name, operand, site) for name, operand in selector.items()])


def element_test(selector: Any, compile_document: CompileDocument) -> Test:
    """Make a test of one element of an array, whose own elements are not looked at.

    Args:
        selector: Operators for the element itself; another object is a selector for documents
            (and arrays, by index); another value is what the element is to equal.
        compile_document: Compiles such a selector for documents.

    Raises:
        MinimongoError: As :func:`compile_value`.
    """
    if is_document(selector) and not _is_of_operators(selector):
        document = compile_document(selector)

        def document_fits(element: Any) -> bool:
            if is_document(element):
                return document.accepts(element)
            return is_array(element) and document.match(element).matched

        return document_fits
    condition = compile_value(selector, compile_document)

    def fits(element: Any) -> bool:
        if is_array(element):
            return condition.match([Branch(element, is_whole=True)]).matched
        return condition.accepts(element)

    return fits


def _has_operators(selector: Any) -> bool:
    """Tell whether something is an object of operators.

    Raises:
        MinimongoError: If it mixes operators with fields.
    """
    if not is_document(selector) or not selector:
        return False
    operators = [name for name in selector if name.startswith("$")]
    if operators and len(operators) != len(selector):
        raise MinimongoError(f"The operator {operators[0]} cannot stand beside plain fields.")
    return bool(operators)


def unsupported(name: str) -> MinimongoError:
    """Make the error for an operator that is not evaluated here, or that there is not."""
    if name in MONGODB_ONLY:
        return MinimongoError(
            f"The operator {name} is not supported here; a query with it needs MongoDB."
        )
    known = [*_OPERATORS, "$and", "$or", "$nor"]
    if name in known:
        return MinimongoError(f"The operator {name} cannot stand at this place of a selector.")
    near = get_close_matches(name, known, n=1)
    hint = f": did you mean {near[0]}?" if near else "."
    return MinimongoError(f"{name} is no operator of a selector{hint}")


def _compile_operator(name: str, operand: Any, site: _Site) -> ValueCondition:
    compile_one = _OPERATORS.get(name)
    if compile_one is None:
        raise unsupported(name)
    return compile_one(operand, site)


def _compile_exists(operand: Any, _: _Site) -> ValueCondition:
    exists = of_elements(lambda value: value is not UNDEFINED)
    return exists if operand else inverted(exists)


def _compile_not(operand: Any, site: _Site) -> ValueCondition:
    return inverted(compile_value(operand, site.compile_document))


def _compile_all(operand: Any, site: _Site) -> ValueCondition:
    if not is_array(operand):
        raise MinimongoError("$all needs an array.")
    if any(map(_has_operators, operand)):
        raise MinimongoError("$all cannot hold operators.")
    # Each may be found in another element; with none, nothing has them all.
    return (
        all_of([compile_value(item, site.compile_document) for item in operand])
        if operand
        else NOTHING
    )


def _compile_regex(operand: Any, site: _Site) -> ValueCondition:
    if isinstance(operand, Regex):
        pattern, flags = operand.pattern, operand.flags
    elif isinstance(operand, str):
        pattern, flags = operand, ""
    else:
        raise MinimongoError("$regex needs a text or a regular expression.")
    options = site.operators.get("$options", flags)
    if not isinstance(options, str):
        raise MinimongoError("$options needs a text.")
    return of_elements(regex_test(pattern, options))


def _compile_options(_: Any, site: _Site) -> ValueCondition:
    if "$regex" not in site.operators:
        raise MinimongoError("$options needs a $regex beside it.")
    return EVERYTHING


def _compile_max_distance(_: Any, site: _Site) -> ValueCondition:
    if "$near" not in site.operators:
        raise MinimongoError("$maxDistance needs a $near beside it.")
    return EVERYTHING


def _compile_elem_match(operand: Any, site: _Site) -> ValueCondition:
    if not is_document(operand):
        raise MinimongoError("$elemMatch needs an object.")
    return _any_element(element_test(operand, site.compile_document))


def _is_of_operators(operand: Document) -> bool:
    """Tell whether an $elemMatch asks something of the elements themselves."""
    names = [name for name in operand if name not in _LOGICAL_OPERATORS]
    return bool(names) and all(name.startswith("$") for name in names)


def _any_element(fits: Test) -> ValueCondition:
    """Make a condition that an array has an element that fits, and name the first."""

    def accepts(value: Any) -> bool:
        return is_array(value) and any(map(fits, value))

    def match(branches: Sequence[Branch]) -> Match:
        for value, indices, _ in branches:
            if not is_array(value):
                continue
            for index, element in enumerate(value):
                if fits(element):
                    return Match(True, positions(indices) or (index,))
        return Match(False)

    return Condition(accepts, match)


def _compile_near(operand: Any, site: _Site) -> ValueCondition:
    if not site.is_root:
        raise MinimongoError("$near cannot stand inside another operator.")
    if is_document(operand) and "$geometry" in operand:
        geometry = operand["$geometry"]
        center = point_of(geometry.get("coordinates")) if is_document(geometry) else None
        return _near(center, operand.get("$maxDistance"), geojson_distance)
    return _near(point_of(operand), site.operators.get("$maxDistance"), plane_distance)


def _near(
    center: Point | None,
    max_distance: Any,
    distance_of: Callable[[Point, Any], float | None],
) -> ValueCondition:
    if center is None:
        raise MinimongoError("$near needs a pair of coordinates or a $geometry with a point.")
    if max_distance is not None and not isinstance(max_distance, int | float):
        raise MinimongoError("$maxDistance needs a number.")

    def match(branches: Sequence[Branch]) -> Match:
        # The positional $ stands for the first element on the way, in MongoDB as in Meteor: a
        # point is near as a part of its document, whichever of its elements is the nearest.
        first: tuple[int, ...] = ()
        nearest: float | None = None
        for value, indices, _ in expand(branches, keep_arrays=True):
            first = first or indices
            distance = distance_of(center, value)
            if distance is None or (max_distance is not None and distance > max_distance):
                continue
            if nearest is None or distance < nearest:
                nearest = distance
        if nearest is None:
            return Match(False)
        return Match(True, positions(first) or None, nearest)

    return Condition(lambda value: match([Branch(value)]).matched, match)


_Compile: TypeAlias = Callable[[Any, _Site], ValueCondition]


def _plain(make_test: Callable[[Any], Test], arrays: Arrays = Arrays.ITSELF_OR_ELEMENT) -> _Compile:
    return lambda operand, _: of_elements(make_test(operand), arrays)


def _inverse(make_test: Callable[[Any], Test]) -> _Compile:
    return lambda operand, _: inverted(of_elements(make_test(operand)))


def _named(name: str, make_test: Callable[[str, Any], Test]) -> _Compile:
    return lambda operand, _: of_elements(make_test(name, operand))


_OPERATORS: Final[dict[str, _Compile]] = {
    "$eq": _plain(equality_test),
    "$ne": _inverse(equality_test),
    "$in": _plain(membership_test),
    "$nin": _inverse(membership_test),
    "$mod": _plain(remainder_test),
    "$type": _plain(type_test, Arrays.ELEMENT),
    "$size": _plain(size_test, Arrays.ITSELF),
    **{name: _named(name, inequality_test) for name in ("$lt", "$lte", "$gt", "$gte")},
    **{
        name: _named(name, bits_test)
        for name in ("$bitsAllSet", "$bitsAnySet", "$bitsAllClear", "$bitsAnyClear")
    },
    "$exists": _compile_exists,
    "$not": _compile_not,
    "$all": _compile_all,
    "$regex": _compile_regex,
    "$options": _compile_options,
    "$elemMatch": _compile_elem_match,
    "$near": _compile_near,
    "$maxDistance": _compile_max_distance,
}
