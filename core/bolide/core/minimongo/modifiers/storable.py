"""What may be stored: the checks of values on their way into a document."""

from typing import Any, Final

from bson import Binary

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.paths import MAX_NESTING, is_array, is_document
from bolide.core.values import INVALID_DATE, equals

__all__ = ["check_name", "copied", "depth", "is_same", "storable"]

_MIN_INT64: Final = -(2**63)
_MAX_INT64: Final = 2**63 - 1


# Values have no static type here: each function looks at what it was given.
def storable(value: Any, where: str, *, around: int) -> Any:
    """Copy a value, so that no later change of the original is seen, and check it on the way.

    Args:
        value: Any value; containers are copied, all else is immutable.
        where: What holds the value, as the start of a sentence: ``"$set of 'a.b'"``.
        around: Documents and arrays that lie around the value.

    Raises:
        MinimongoError: If it is nested too deep, has a field name that MongoDB or Meteor refuses,
            a number beyond 64 bits or an invalid date.
    """
    if is_document(value):
        _check_depth(around + 1, where)
        for name in value:
            check_name(name, where)
        return {name: storable(inner, where, around=around + 1) for name, inner in value.items()}
    if is_array(value):
        _check_depth(around + 1, where)
        return [storable(inner, where, around=around + 1) for inner in value]
    if isinstance(value, int) and not _MIN_INT64 <= value <= _MAX_INT64:
        raise MinimongoError(f"{where} holds a number that does not fit 64 bits.")
    if value is INVALID_DATE:
        raise MinimongoError(f"{where} holds an invalid date.")
    return value


def copied(value: Any, where: str) -> Any:
    """Copy the containers of a value that is not stored, such as a condition.

    Raises:
        MinimongoError: If it is nested too deep.
    """
    return _copied(value, where, 1)


def _copied(value: Any, where: str, level: int) -> Any:
    if is_document(value):
        _check_depth(level, where)
        return {name: _copied(inner, where, level + 1) for name, inner in value.items()}
    if is_array(value):
        _check_depth(level, where)
        return [_copied(inner, where, level + 1) for inner in value]
    return value


def check_name(name: object, where: str) -> None:
    """Check the name of one field; the text does not repeat it, since it may be somebody's name.

    Raises:
        MinimongoError: If it is no text, starts with ``$`` or contains a dot or a NUL.
    """
    if not isinstance(name, str):
        raise MinimongoError(f"{where} holds a field name that is no text.")
    if name.startswith("$"):
        raise MinimongoError(f"{where} holds a field name that starts with '$'.")
    if "." in name:
        raise MinimongoError(f"{where} holds a field name that contains '.'.")
    if "\0" in name:
        raise MinimongoError(f"{where} holds a field name that contains a null byte.")


def depth(value: Any) -> int:
    """Count the levels of a stored value: 0 for what is neither document nor array."""
    if is_document(value):
        return 1 + max(map(depth, value.values()), default=0)
    if is_array(value):
        return 1 + max(map(depth, value), default=0)
    return 0


def is_same(old: Any, new: Any) -> bool:
    """Tell whether storing ``new`` in place of ``old`` changes nothing, types included.

    1 and 1.0 are equal but not the same; so are objects whose keys have another order.
    """
    if old is new:
        return True
    if type(old) is not type(new):
        return False
    if is_document(old):
        return list(old) == list(new) and all(
            is_same(inner, new[name]) for name, inner in old.items()
        )
    if is_array(old):
        return len(old) == len(new) and all(map(is_same, old, new))
    if isinstance(old, Binary):
        return bool(old == new)  # subtypes count
    return equals(old, new)


def _check_depth(levels: int, where: str) -> None:
    if levels > MAX_NESTING:
        raise MinimongoError(f"{where} is nested deeper than {MAX_NESTING} levels.")
