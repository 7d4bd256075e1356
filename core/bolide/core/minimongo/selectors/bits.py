"""Bit masks: the operands of ``$bitsAllSet`` and its relatives."""

# Operands and values are of any kind.
from typing import Any, Final

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.paths import is_array
from bolide.core.minimongo.selectors.integers import nearest, truncated
from bolide.core.values import Decimal128

__all__ = ["MAX_POSITION", "bits_of", "mask_of"]

MAX_POSITION: Final = 1_000_000
"""Highest position in a list of positions; it bounds the memory that a mask takes."""


def mask_of(operator: str, operand: Any) -> int:
    """Read an operand: a number, a binary (lowest byte first), or an array of positions.

    Raises:
        MinimongoError: If it is none of these.
    """
    if isinstance(operand, bytes):
        return int.from_bytes(operand, "little")
    if is_array(operand):
        mask = 0
        for item in operand:
            position = _integer(item)
            if position is None or not 0 <= position <= MAX_POSITION:
                raise MinimongoError(
                    f"The positions of {operator} must be whole numbers from 0 to {MAX_POSITION}."
                )
            mask |= 1 << position
        return mask
    mask_or_none = _integer(operand)
    if mask_or_none is None or mask_or_none < 0:
        raise MinimongoError(
            f"{operator} needs a whole number of at least 0, a binary, or an array of positions."
        )
    return mask_or_none


def bits_of(value: Any) -> int | None:
    """Return a field's bits; None if it has none.

    Returns:
        A whole number of 64 bits, whose sign goes on for ever, or a binary as a number.
    """
    if isinstance(value, Decimal128):
        return nearest(value)
    return int.from_bytes(value, "little") if isinstance(value, bytes) else _integer(value)


def _integer(value: Any) -> int | None:
    """Return a number as an int, if it is whole and has at most 64 bits."""
    whole = truncated(value)
    if whole is None:
        return None
    exact = value.to_decimal() if isinstance(value, Decimal128) else value
    return whole if whole == exact else None
