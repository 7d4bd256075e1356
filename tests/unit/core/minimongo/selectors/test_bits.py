import math

import pytest

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.selectors.bits import MAX_POSITION, bits_of, mask_of
from bolide.core.values import Decimal128


@pytest.mark.parametrize(
    ("operand", "mask"),
    [
        (0, 0),
        (20, 20),
        (20.0, 20),
        (Decimal128("20"), 20),
        (b"\x01\x02", 0x201),
        ([0, 4, 64], 1 | 1 << 4 | 1 << 64),
    ],
)
def test_a_mask_is_a_number_a_binary_or_positions(operand: object, mask: int) -> None:
    assert mask_of("$bitsAllSet", operand) == mask


@pytest.mark.parametrize(
    "operand",
    [
        None,
        True,
        "1",
        -1,
        1.5,
        math.nan,
        math.inf,
        2**63,
        {},
        ["a"],
        [-1],
        [1.5],
        Decimal128("1.5"),
    ],
)
def test_anything_else_is_refused_with_the_operator(operand: object) -> None:
    with pytest.raises(MinimongoError, match=r"\$bitsAnySet"):
        mask_of("$bitsAnySet", operand)


def test_positions_are_limited() -> None:
    assert mask_of("$bitsAllSet", [MAX_POSITION]) == 1 << MAX_POSITION
    with pytest.raises(MinimongoError, match="from 0 to 1000000"):
        mask_of("$bitsAllSet", [MAX_POSITION + 1])


@pytest.mark.parametrize(
    ("value", "bits"),
    [
        (5, 5),
        (-1, -1),
        (5.0, 5),
        (b"\x05", 5),
        (2**63 - 1, 2**63 - 1),
        (-(2**63), -(2**63)),
        (Decimal128("1.5"), 2),
    ],
)
def test_numbers_and_binaries_have_bits(value: object, bits: int) -> None:
    assert bits_of(value) == bits


@pytest.mark.parametrize("value", [None, True, "5", 1.5, 2**63, 1e300, math.nan, [5]])
def test_other_values_have_no_bits(value: object) -> None:
    assert bits_of(value) is None
