import math

import pytest

from bolide.core.minimongo.selectors.integers import INT64_LOWEST, nearest, truncated
from bolide.core.values import Decimal128, Int64


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        (3, 3),
        (Int64(3), 3),
        (-3.9, -3),
        (Decimal128("-3.9"), -3),
        (Decimal128("9223372036854775807"), 2**63 - 1),
        (Decimal128("9223372036854775808"), None),
        (Decimal128("1E+6000"), None),
        (Decimal128("NaN"), None),
        (-(2.0**63), -(2**63)),
        (2.0**63, None),
        (math.nan, None),
        (math.inf, None),
        (True, None),
        ("3", None),
    ],
)
def test_a_fraction_is_cut_off(value: object, whole: int | None) -> None:
    assert truncated(value) == whole


@pytest.mark.parametrize(
    ("value", "whole"),
    [
        ("1.5", 2),
        ("2.5", 2),
        ("-1.6", -2),
        ("9223372036854775807", 2**63 - 1),
        ("1E+19", INT64_LOWEST),
        ("Infinity", INT64_LOWEST),
        ("NaN", INT64_LOWEST),
    ],
)
def test_bits_are_those_of_the_nearest_whole_number(value: str, whole: int) -> None:
    assert nearest(Decimal128(value)) == whole
