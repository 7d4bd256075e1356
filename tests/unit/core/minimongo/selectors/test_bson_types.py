from datetime import UTC, datetime

import pytest

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.selectors.bson_types import type_test
from bolide.core.values import (
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
    def type_name(self) -> str:
        return "weight"

    def to_json_value(self) -> EJSONValue:
        return 1


VALUES: list[tuple[object, set[str]]] = [
    (1.5, {"double"}),
    (1, {"double", "int"}),
    (2**31, {"double", "long"}),
    (Int64(1), {"double", "long"}),
    (Decimal128("1"), {"decimal"}),
    ("a", {"string"}),
    ({}, {"object"}),
    (Weight(), {"object"}),
    ([], {"array"}),
    (b"", {"binData"}),
    (Encrypted(b"\x01"), {"binData"}),
    (ObjectId("0" * 24), {"objectId"}),
    (True, {"bool"}),
    (datetime(2024, 1, 1, tzinfo=UTC), {"date"}),
    (DatetimeMS(2**60), {"date"}),
    (None, {"null"}),
    (Regex("a"), {"regex"}),
    (UNDEFINED, set()),
]
ALIASES = {
    **{"double": 1, "string": 2, "object": 3, "array": 4, "binData": 5, "objectId": 7, "bool": 8},
    **{"date": 9, "null": 10, "regex": 11, "int": 16, "timestamp": 17, "long": 18, "decimal": 19},
}


@pytest.mark.parametrize(("value", "types"), VALUES)
def test_a_value_has_these_types_and_no_others(value: object, types: set[str]) -> None:
    assert {alias for alias in ALIASES if type_test(alias)(value)} == types
    assert {alias for alias, code in ALIASES.items() if type_test(code)(value)} == types


def test_number_means_all_numbers() -> None:
    numbers = [value for value, _ in VALUES if type_test("number")(value)]
    assert len(numbers) == 5


def test_one_of_several_types_is_enough() -> None:
    assert type_test(["string", 8.0])(True)
    assert type_test(["string", 8.0])("a")
    assert not type_test(["string", 8.0])(1)


@pytest.mark.parametrize("operand", ["foo", 0, 20, -2, 1.5, None, True, {}, ["string", "foo"]])
def test_unknown_types_are_refused(operand: object) -> None:
    with pytest.raises(MinimongoError, match=r"\$type"):
        type_test(operand)
