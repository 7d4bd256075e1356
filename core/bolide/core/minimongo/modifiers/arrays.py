"""The update operators for arrays."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cmp_to_key

# Values have no static type here: each operator looks at what it was given.
from typing import Any, Final

from bolide.core.minimongo.compare import compare
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import ElementMatcher
from bolide.core.minimongo.modifiers.arithmetic import is_number
from bolide.core.minimongo.modifiers.storable import copied, storable
from bolide.core.minimongo.modifiers.target import Change, Target
from bolide.core.minimongo.paths import is_array, is_document
from bolide.core.minimongo.sorter import Sorter
from bolide.core.values import UNDEFINED, equals

__all__ = ["add_to_set", "pop", "pull", "pull_all", "push", "push_all"]

_CLAUSES: Final = frozenset({"$each", "$position", "$slice", "$sort"})


def push(target: Target, operand: Any) -> Change:
    """``$push``: one value, or ``{"$each": [...]}`` with ``$position``, ``$sort``, ``$slice``."""
    if not (is_document(operand) and "$each" in operand):
        return _Push(target, _elements(target, [operand]))
    unknown = [name for name in operand if name not in _CLAUSES]
    if unknown:
        raise MinimongoError(f"{target.where} takes $each, $position, $slice and $sort only.")
    position = _whole(target, "$position", operand.get("$position", UNDEFINED))
    if position is not None and position < 0:
        raise MinimongoError(f"{target.where} has a negative $position.")
    return _Push(
        target,
        _elements(target, operand["$each"]),
        position,
        _whole(target, "$slice", operand.get("$slice", UNDEFINED)),
        _sort_key(target, operand["$sort"]) if "$sort" in operand else None,
    )


def push_all(target: Target, operand: Any) -> Change:
    """``$pushAll``: all values of an array."""
    return _Push(target, _elements(target, operand))


def add_to_set(target: Target, operand: Any) -> Change:
    """``$addToSet``: one value or ``{"$each": [...]}``, each unless it is there already."""
    each = is_document(operand) and next(iter(operand), None) == "$each"
    values = _elements(target, operand["$each"] if each else [operand])

    def change(old: Any) -> Any:
        array = list(_array(target, old))
        for value in values:
            if not _contains(array, value):
                array.append(value)
        return array

    return change


def pop(target: Target, operand: Any) -> Change:
    """``$pop``: the first element if the operand is negative, else the last."""
    first = isinstance(operand, int | float) and operand < 0

    def change(old: Any) -> Any:
        if old is UNDEFINED:
            return UNDEFINED
        array = _array(target, old)
        return array[1:] if first else array[:-1]

    return change


def pull(target: Target, operand: Any) -> Change:
    """``$pull``: every element that equals the operand, or fits it as a condition."""
    fits = ElementMatcher(copied(operand, target.where)).matches

    def change(old: Any) -> Any:
        if old is UNDEFINED:
            return UNDEFINED
        return [element for element in _array(target, old) if not fits(element)]

    return change


def pull_all(target: Target, operand: Any) -> Change:
    """``$pullAll``: every element that equals a value of an array."""
    values = _elements(target, operand)

    def change(old: Any) -> Any:
        if old is UNDEFINED:
            return UNDEFINED
        return [element for element in _array(target, old) if not _contains(values, element)]

    return change


@dataclass(frozen=True, slots=True)
class _Push:
    """A compiled ``$push``."""

    target: Target
    values: list[Any]
    position: int | None = None
    slice: int | None = None
    sort_key: Callable[[Any], Any] | None = None

    def __call__(self, old: Any) -> Any:
        array = list(_array(self.target, old))
        position = len(array) if self.position is None else self.position
        array[position:position] = self.values
        if self.sort_key is not None:
            array.sort(key=self.sort_key)
        if self.slice is None:
            return array
        return array[: self.slice] if self.slice >= 0 else array[self.slice :]


def _array(target: Target, old: Any) -> list[Any]:
    """Return the array that is to be changed; an absent one is empty."""
    if old is UNDEFINED:
        return []
    if is_array(old):
        return old
    raise MinimongoError(f"{target.where} needs an array in the document.")


def _elements(target: Target, operand: Any) -> list[Any]:
    """Check the values that an operator works with."""
    if not is_array(operand):
        raise MinimongoError(f"{target.where} needs an array of values.")
    checked: list[Any] = storable(operand, target.where, around=len(target.parts))
    return checked


def _whole(target: Target, clause: str, value: Any) -> int | None:
    """Read a clause that takes a whole number; None if it is absent."""
    if value is UNDEFINED:
        return None
    whole = isinstance(value, int) or (isinstance(value, float) and value.is_integer())
    if isinstance(value, bool) or not whole:
        raise MinimongoError(f"{target.where} needs a whole number as {clause}.")
    return int(value)


# What sorts compare has no static type: see Sorter.key.
def _sort_key(target: Target, spec: Any) -> Callable[[Any], Any]:
    """Compile a ``$sort``: 1 or -1 for whole elements, else paths in elements."""
    if spec is not True and spec in (1, -1):
        return cmp_to_key(lambda a, b: compare(a, b) * int(spec))
    if not spec or not (is_document(spec) or is_array(spec)):
        raise MinimongoError(f"{target.where} needs 1, -1 or paths as $sort.")
    key = Sorter(spec).key
    return lambda element: key(element if is_document(element) else {})


def _contains(array: list[Any], value: Any) -> bool:
    if is_number(value):
        return any(is_number(element) and compare(element, value) == 0 for element in array)
    return any(equals(element, value, key_order=True) for element in array)
