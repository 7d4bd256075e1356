"""The update operators, by their names in a modifier."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

# Values have no static type here: each operator looks at what it was given.
from typing import Any, Final, Protocol, TypeAlias

from bolide.core.minimongo.compare import compare
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.modifiers import arrays
from bolide.core.minimongo.modifiers.arithmetic import BITWISE, add, is_integer, is_number, multiply
from bolide.core.minimongo.modifiers.storable import depth, is_same, storable
from bolide.core.minimongo.modifiers.target import Change, Target
from bolide.core.minimongo.paths import MAX_NESTING, is_document
from bolide.core.values import UNDEFINED, DatetimeMS, Document, Int64, date_from_millis

__all__ = ["Moment", "Update", "compile_update"]


@dataclass(frozen=True, slots=True)
class Moment:
    """What an update depends on, beside the document.

    Attributes:
        now_ms: UTC milliseconds since 1970.
        array_index: What the positional ``$`` stands for.
        is_insert: The document is about to be inserted.
    """

    now_ms: int
    array_index: int | None
    is_insert: bool


class Update(Protocol):
    """One operator on one path."""

    def apply(self, document: Document, moment: Moment) -> Document:
        """Return the changed document; the given one if nothing changes."""
        ...


def compile_update(operator: str, path: str, operand: Any) -> Update:
    """Check one entry of a modifier.

    Raises:
        MinimongoError: If there is no such operator, or it does not take this operand.
    """
    if operator in _CREATING:
        target = Target.parse(operator, path)
        return _Field(target, _CREATING[operator](target, operand))
    if operator in _REMOVING:
        target = Target.parse(operator, path, creates=False)
        return _Field(target, _REMOVING[operator](target, operand))
    match operator:
        case "$setOnInsert":
            target = Target.parse(operator, path)
            return _InsertedField(target, _set(target, operand))
        case "$currentDate":
            return _current_date(Target.parse(operator, path), operand)
        case "$rename":
            return _rename(path, operand)
        case _:
            raise MinimongoError(f"{operator} is no operator of a modifier.")


@dataclass(frozen=True, slots=True)
class _Field:
    """A change that depends on the old value alone."""

    target: Target
    change: Change

    def apply(self, document: Document, moment: Moment) -> Document:
        def change(old: Any) -> Any:
            new = self.change(old)
            return old if is_same(old, new) else new

        return self.target.rewrite(document, change, moment.array_index)


@dataclass(frozen=True, slots=True)
class _InsertedField(_Field):
    """A change that only a new document gets."""

    def apply(self, document: Document, moment: Moment) -> Document:
        return _Field.apply(self, document, moment) if moment.is_insert else document


@dataclass(frozen=True, slots=True)
class _CurrentDate:
    target: Target

    def apply(self, document: Document, moment: Moment) -> Document:
        now = date_from_millis(moment.now_ms)
        return self.target.rewrite(
            document, lambda old: old if is_same(old, now) else now, moment.array_index
        )


@dataclass(frozen=True, slots=True)
class _Rename:
    source: Target
    destination: Target

    def apply(self, document: Document, moment: Moment) -> Document:
        moved: Any = UNDEFINED

        def take(old: Any) -> Any:
            nonlocal moved
            moved = old
            return UNDEFINED

        rest = self.source.rewrite(document, take, None)
        if moved is UNDEFINED:
            return document
        if len(self.destination.parts) + depth(moved) > MAX_NESTING:
            raise MinimongoError(
                f"{self.source.where} would be nested deeper than {MAX_NESTING} levels."
            )
        return self.destination.rewrite(rest, lambda old: moved, None)


def _current_date(target: Target, operand: Any) -> Update:
    if is_document(operand) and operand.get("$type") == "timestamp":
        raise MinimongoError(f"{target.where} makes dates only, no timestamps.")
    if operand is not True and operand != {"$type": "date"}:
        raise MinimongoError(f'{target.where} must be true or {{"$type": "date"}}.')
    return _CurrentDate(target)


def _rename(path: str, operand: Any) -> Update:
    source = Target.parse("$rename", path, creates=False, enters_arrays=False)
    if not isinstance(operand, str):
        raise MinimongoError(f"{source.where} needs a path to rename it to.")
    return _Rename(source, Target.parse("$rename", operand, enters_arrays=False))


def _set(target: Target, operand: Any) -> Change:
    value = storable(operand, target.where, around=len(target.parts))
    return lambda old: value


def _unset(target: Target, operand: Any) -> Change:
    return lambda old: UNDEFINED


def _inc(target: Target, operand: Any) -> Change:
    if not is_number(operand):
        raise _needs(target, "a number to add")
    storable(operand, target.where, around=0)

    def change(old: Any) -> Any:
        if old is UNDEFINED:
            return operand
        if not is_number(old):
            raise _needs(target, "a number in the document")
        return add(old, operand, target.where)

    return change


def _mul(target: Target, operand: Any) -> Change:
    if not is_number(operand):
        raise _needs(target, "a number to multiply with")
    storable(operand, target.where, around=0)

    def change(old: Any) -> Any:
        if old is UNDEFINED:
            return multiply(0, operand, target.where)
        if not is_number(old):
            raise _needs(target, "a number in the document")
        return multiply(old, operand, target.where)

    return change


def _bit(target: Target, operand: Any) -> Change:
    if not is_document(operand) or not operand:
        raise _needs(target, "one of and, or, xor")
    for name, bits in operand.items():
        if name not in BITWISE:
            raise _needs(target, "one of and, or, xor")
        if not is_integer(bits):
            raise _needs(target, "a whole number as operand")
    steps = [
        (BITWISE[name], storable(bits, target.where, around=0)) for name, bits in operand.items()
    ]

    def change(old: Any) -> Any:
        bits = 0 if old is UNDEFINED else old
        if not is_integer(bits):
            raise _needs(target, "a whole number in the document")
        for combine, operand_bits in steps:
            wide = isinstance(bits, Int64) or isinstance(operand_bits, Int64)
            bits = combine(bits, operand_bits)
            bits = Int64(bits) if wide else bits
        return bits

    return change


def _min(target: Target, operand: Any) -> Change:
    return _extreme(target, operand, -1)


def _max(target: Target, operand: Any) -> Change:
    return _extreme(target, operand, 1)


def _extreme(target: Target, operand: Any, sign: int) -> Change:
    """Keep what is further in the direction of ``sign``; numbers or dates only, as in Meteor."""
    kind = _ordered_kind(operand)
    if kind is None:
        raise _needs(target, "a number or a date to compare with")
    value = storable(operand, target.where, around=0)

    def change(old: Any) -> Any:
        if old is UNDEFINED:
            return value
        if _ordered_kind(old) != kind:
            raise _needs(target, f"a {kind} in the document")
        return value if compare(value, old) == sign else old

    return change


def _ordered_kind(value: Any) -> str | None:
    if is_number(value):
        return "number"
    return "date" if isinstance(value, datetime | DatetimeMS) else None


def _needs(target: Target, what: str) -> MinimongoError:
    return MinimongoError(f"{target.where} needs {what}.")


_Compiler: TypeAlias = Callable[[Target, Any], Change]

_CREATING: Final[Mapping[str, _Compiler]] = {
    "$set": _set,
    "$inc": _inc,
    "$mul": _mul,
    "$min": _min,
    "$max": _max,
    "$bit": _bit,
    "$push": arrays.push,
    "$pushAll": arrays.push_all,
    "$addToSet": arrays.add_to_set,
}
_REMOVING: Final[Mapping[str, _Compiler]] = {
    "$unset": _unset,
    "$pop": arrays.pop,
    "$pull": arrays.pull,
    "$pullAll": arrays.pull_all,
}
