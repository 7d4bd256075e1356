"""Numbers as the whole numbers of 64 bits that ``$mod`` and the bit masks look at."""

from decimal import ROUND_DOWN, ROUND_HALF_EVEN, Decimal

# Operands and values are of any kind.
from typing import Any, Final

from bolide.core.values import Decimal128

__all__ = ["INT64_END", "INT64_LOWEST", "nearest", "truncated"]

INT64_END: Final = 2**63
INT64_LOWEST: Final = -INT64_END


def truncated(value: Any) -> int | None:
    """Return a number without its fraction; None if it is none, or has more than 64 bits."""
    if isinstance(value, Decimal128):
        return _in_range(_whole(value, ROUND_DOWN))
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    if not INT64_LOWEST <= value < INT64_END:  # nor NaN
        return None
    return int(value)


def nearest(value: Decimal128) -> int:
    """Return the whole number next to a decimal; as in MongoDB, what has none is the lowest."""
    whole = _in_range(_whole(value, ROUND_HALF_EVEN))
    return INT64_LOWEST if whole is None else whole


def _whole(value: Decimal128, rounding: str) -> Decimal | None:
    decimal = value.to_decimal()
    # One with a larger exponent is beyond 64 bits, and is not to be written out.
    if not decimal.is_finite() or decimal.adjusted() > 19:
        return None
    return decimal.to_integral_value(rounding)


def _in_range(whole: Decimal | None) -> int | None:
    if whole is None or not INT64_LOWEST <= whole < INT64_END:
        return None
    return int(whole)
