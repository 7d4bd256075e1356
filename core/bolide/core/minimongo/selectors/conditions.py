"""Conditions: the compiled parts of a selector."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from enum import Enum, auto

# What is tested are values of any kind.
from typing import Any, Final, Generic, TypeAlias, TypeVar

from bolide.core.minimongo.branches import Branch, expand, positions
from bolide.core.minimongo.paths import is_array
from bolide.core.values import UNDEFINED, Document

__all__ = [
    "EVERYTHING",
    "NOTHING",
    "Arrays",
    "Condition",
    "Container",
    "DocumentCondition",
    "Match",
    "Test",
    "ValueCondition",
    "all_of",
    "any_of",
    "inverted",
    "is_missing",
    "none_of",
    "of_elements",
]

Test: TypeAlias = Callable[[Any], bool]
"""Tells whether one value fits."""

Container: TypeAlias = "Document | list[Any]"
"""What paths are looked up in."""

_Input = TypeVar("_Input")


@dataclass(frozen=True, slots=True)
class Match:
    """The answer of a selector; true if it matched.

    Attributes:
        matched: The document matches.
        array_indices: The array elements that made it match, outermost first; the first one is
            what the positional ``$`` of a modifier stands for.
        distance: How far the document is from the point of ``$near``, metres for GeoJSON.
    """

    matched: bool
    array_indices: tuple[int, ...] | None = None
    distance: float | None = None

    def __bool__(self) -> bool:
        return self.matched


_YES: Final = Match(True)
_NO: Final = Match(False)


@dataclass(frozen=True, slots=True)
class Condition(Generic[_Input]):
    """A condition in two forms, which always agree.

    Attributes:
        accepts: The fast form, without array indices. A value condition gets one value that was
            found without passing an array; a document condition gets the document.
        match: The complete form. A value condition gets all branches of its path; a document
            condition gets the document, or an array that ``$elemMatch`` looks into.
    """

    accepts: Test
    match: Callable[[_Input], Match]


ValueCondition: TypeAlias = Condition[Sequence[Branch]]
DocumentCondition: TypeAlias = Condition[Container]


def _accept_all(_: object) -> bool:
    return True


def _accept_none(_: object) -> bool:
    return False


# A constant function fits every input, which no type parameter can say.
EVERYTHING: Final[Condition[Any]] = Condition(_accept_all, lambda _: _YES)
NOTHING: Final[Condition[Any]] = Condition(_accept_none, lambda _: _NO)


class Arrays(Enum):
    """What a test does when a path leads to an array."""

    ITSELF_OR_ELEMENT = auto()
    """The array or one of its elements must fit."""
    ELEMENT = auto()
    """One of its elements must fit; the array does not count."""
    ITSELF = auto()
    """The array must fit; its elements do not count."""


def of_elements(test: Test, arrays: Arrays = Arrays.ITSELF_OR_ELEMENT) -> ValueCondition:
    """Make a condition that holds if one of the values found fits."""

    def match_expanded(branches: Sequence[Branch]) -> Match:
        keep_arrays = arrays is not Arrays.ELEMENT
        return _first_fitting(test, expand(branches, keep_arrays=keep_arrays))

    def accept_array_or_element(value: Any) -> bool:
        if is_array(value):
            return test(value) or any(map(test, value))
        return test(value)

    def accept_element(value: Any) -> bool:
        return any(map(test, value)) if is_array(value) else test(value)

    if arrays is Arrays.ITSELF:
        return Condition(test, lambda branches: _first_fitting(test, branches))
    accepts = accept_element if arrays is Arrays.ELEMENT else accept_array_or_element
    return Condition(accepts, match_expanded)


def _first_fitting(test: Test, branches: Iterable[Branch]) -> Match:
    for value, indices, _ in branches:
        if test(value):
            return Match(True, positions(indices)) if indices else _YES
    return _NO


def all_of(conditions: Sequence[Condition[_Input]]) -> Condition[_Input]:
    """Make a condition that holds if all do.

    The first distance counts, and the last array indices, as in MongoDB.
    """
    if not conditions:
        return EVERYTHING
    if len(conditions) == 1:
        return conditions[0]
    tests = tuple(condition.accepts for condition in conditions)

    def accepts(value: Any) -> bool:
        for test in tests:  # noqa: SIM110 - the generator of all() costs more than the tests
            if not test(value):
                return False
        return True

    def match(given: _Input) -> Match:
        indices: tuple[int, ...] | None = None
        distance: float | None = None
        for condition in conditions:
            found = condition.match(given)
            if not found.matched:
                return found
            indices = found.array_indices or indices
            distance = found.distance if distance is None else distance
        return _YES if indices is None and distance is None else Match(True, indices, distance)

    return Condition(accepts, match)


def any_of(conditions: Sequence[Condition[_Input]]) -> Condition[_Input]:
    """Make a condition that holds if one does; of several, none says where, as in MongoDB."""
    if len(conditions) == 1:
        return conditions[0]
    tests = tuple(condition.accepts for condition in conditions)

    def accepts(value: Any) -> bool:
        return any(test(value) for test in tests)

    def match(given: _Input) -> Match:
        return _YES if any(condition.match(given) for condition in conditions) else _NO

    return Condition(accepts, match)


def none_of(conditions: Sequence[Condition[_Input]]) -> Condition[_Input]:
    """Make a condition that holds if none does."""
    return inverted(any_of(conditions))


def inverted(condition: Condition[_Input]) -> Condition[_Input]:
    """Make a condition that holds if another does not."""
    test, match = condition.accepts, condition.match
    return Condition(
        lambda value: not test(value), lambda given: _NO if match(given).matched else _YES
    )


def is_missing(value: object) -> bool:
    """Tell whether a value is null or absent, which selectors do not distinguish."""
    return value is None or value is UNDEFINED
