import math

import pytest

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.modifiers.arithmetic import (
    BITWISE,
    Number,
    add,
    is_integer,
    is_number,
    multiply,
)
from bolide.core.values import Decimal128, Int64

WHERE = "$inc of 'a'"
LARGEST = 2**63 - 1


@pytest.mark.parametrize(
    ("left", "right", "total", "product"),
    [
        (2, 3, 5, 6),
        (2, 1.5, 3.5, 3.0),
        (1.5, -2, -0.5, -3.0),
        (2**31, 2**31, 2**32, 2**62),
        (Int64(2), 3, Int64(5), Int64(6)),
        (2, Int64(3), Int64(5), Int64(6)),
        (Decimal128("0.10"), 2, Decimal128("2.10"), Decimal128("0.20")),
        (2, Decimal128("0.10"), Decimal128("2.10"), Decimal128("0.20")),
        (
            Decimal128("1"),
            0.1,
            Decimal128("1.100000000000000"),
            Decimal128("0.100000000000000"),
        ),
        (1e308, 1e308, 2e308, math.inf),
    ],
)
def test_numbers_keep_the_widest_type(
    left: Number, right: Number, total: Number, product: Number
) -> None:
    for result, expected in (
        (add(left, right, WHERE), total),
        (multiply(left, right, WHERE), product),
    ):
        assert result == expected
        assert type(result) is type(expected)


def test_decimals_have_34_digits() -> None:
    third = Decimal128("0.3333333333333333333333333333333333")
    assert add(third, 1, WHERE) == Decimal128("1.333333333333333333333333333333333")


@pytest.mark.parametrize("odd", [math.nan, math.inf])
def test_infinity_and_nan_do_not_raise(odd: float) -> None:
    assert str(add(Decimal128("1"), odd, WHERE)).lower() in ("nan", "infinity")
    assert not math.isfinite(float(str(add(1, odd, WHERE))))


@pytest.mark.parametrize("left", [LARGEST, Int64(LARGEST)])
def test_whole_numbers_beyond_64_bits_are_refused(left: int) -> None:
    with pytest.raises(MinimongoError, match=r"\$inc of 'a' gives a number that does not fit"):
        add(left, 1, WHERE)
    with pytest.raises(MinimongoError, match="does not fit 64 bits"):
        multiply(left, -2, WHERE)
    assert add(-left, -1, WHERE) == -(2**63)


def test_a_bool_is_no_number() -> None:
    for number in (1, 1.5, Int64(1), Decimal128("1")):
        assert is_number(number)
    for other in (True, None, "1", [1]):
        assert not is_number(other)
        assert not is_integer(other)
    assert is_integer(1)
    assert is_integer(Int64(1))
    assert not is_integer(1.0)


def test_bits_are_those_of_twos_complement() -> None:
    assert BITWISE["and"](-1, 0b1010) == 0b1010
    assert BITWISE["or"](0b0001, 0b1010) == 0b1011
    assert BITWISE["xor"](-1, 0b1) == -2
