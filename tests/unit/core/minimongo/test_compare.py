import itertools
import math
from datetime import UTC, datetime

import pytest

from bolide.core.minimongo.compare import compare, custom_document, type_order
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.values import (
    INVALID_DATE,
    UNDEFINED,
    DatetimeMS,
    Decimal128,
    EJSONValue,
    Encrypted,
    Int64,
    ObjectId,
    Regex,
)


class Weight:
    def __init__(self, grams: int) -> None:
        self.grams = grams

    def type_name(self) -> str:
        return "weight"

    def to_json_value(self) -> EJSONValue:
        return self.grams


ASCENDING: list[object] = [
    UNDEFINED,
    None,
    math.nan,
    -math.inf,
    Decimal128("-1.5"),
    0,
    0.5,
    Decimal128("0.75"),
    1,
    2**53,
    Int64(2**53 + 1),
    math.inf,
    "",
    "10",
    "9",
    "a",
    "aa",
    "\ufffe",
    "\U0001f600",
    {},
    {"a": 1},
    {"a": 1, "b": 1},
    {"a": 2},
    {"b": 0},
    {"EJSON$type": "weight", "EJSON$value": 1},
    Weight(2),
    {"a": ""},
    {"a": {}},
    [],
    [UNDEFINED],
    [1],
    [1, 1],
    [2],
    [[]],
    b"",
    b"b",
    Encrypted(b"a"),
    b"aa",
    ObjectId("0" * 24),
    ObjectId("f" * 24),
    False,
    True,
    DatetimeMS(-(2**62)),
    datetime(1970, 1, 1, tzinfo=UTC),
    datetime(2024, 1, 1, tzinfo=UTC),
    DatetimeMS(2**62),
]


def test_values_of_all_types_have_one_order() -> None:
    for (i, a), (j, b) in itertools.product(enumerate(ASCENDING), repeat=2):
        assert compare(a, b) == (i > j) - (i < j)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, 1.0),
        (1, Decimal128("1.00")),
        (Int64(1), 1),
        (math.nan, Decimal128("NaN")),
        (Decimal128("sNaN"), math.nan),
        (0.0, -0.0),
        (Weight(1), {"EJSON$type": "weight", "EJSON$value": 1}),
        (INVALID_DATE, datetime(1970, 1, 1)),
        (DatetimeMS(0), datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_equal_values_of_different_types_are_a_tie(a: object, b: object) -> None:
    assert compare(a, b) == 0
    assert compare(b, a) == 0


def test_regexes_have_a_type_order_only() -> None:
    assert compare(Regex("a"), datetime(2024, 1, 1)) == 1
    with pytest.raises(MinimongoError, match="no order"):
        compare(Regex("a"), Regex("a"))


def test_what_no_document_holds_has_no_order() -> None:
    with pytest.raises(MinimongoError, match="set"):
        type_order(set[int]())


def test_a_custom_value_is_compared_as_it_is_stored() -> None:
    assert custom_document(Weight(3)) == {"EJSON$type": "weight", "EJSON$value": 3}
