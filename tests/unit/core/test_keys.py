from datetime import UTC, datetime, timedelta, timezone
from typing import Any, cast

import pytest
from bson import Binary, Decimal128, Int64, ObjectId
from bson.datetime_ms import DatetimeMS
from hypothesis import given
from hypothesis import strategies as st

from bolide.core.keys import key_of
from bolide.core.values import EJSONValue, Encrypted, Regex


class Length:
    def __init__(self, metres: int) -> None:
        self.metres = metres

    def type_name(self) -> str:
        return "length"

    def to_json_value(self) -> EJSONValue:
        return self.metres


MOMENT = datetime(2026, 1, 1, 12, tzinfo=UTC)
ID = ObjectId("6b09b04a0bcad06c28211112")

SAME: list[tuple[Any, Any]] = [
    (1, 1.0),
    (1, Int64(1)),
    (1, Decimal128("1.00")),
    (0, -0.0),
    (float("nan"), float("nan")),
    (float("nan"), Decimal128("NaN")),
    (float("inf"), Decimal128("Infinity")),
    (MOMENT, MOMENT.astimezone(timezone(timedelta(hours=3)))),
    (b"x", Binary(b"x", 0)),
    (Encrypted(b"x"), Binary(b"x", 6)),
    (Length(2), Length(2)),
    ({"a": [1]}, {"a": [1.0]}),
    (ID, ObjectId(str(ID))),
]

DIFFERENT: list[tuple[Any, Any]] = [
    (1, True),
    (0, False),
    (0, None),
    ("1", 1),
    ("", None),
    (b"x", "x"),
    (b"x", Encrypted(b"x")),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
    ([1, 2], [2, 1]),
    ([], {}),
    (Regex("a"), Regex("a", "i")),
    (Length(2), 2),
    (str(ID), ID),
    (DatetimeMS(2**60), 2**60),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_equal_values_have_one_key(one: Any, other: Any) -> None:
    assert key_of(one) == key_of(other)
    assert hash(key_of(one)) == hash(key_of(other))


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_different_values_have_different_keys(one: Any, other: Any) -> None:
    assert key_of(one) != key_of(other)


@given(st.one_of(st.text(), st.none(), st.booleans()))
def test_common_ids_are_their_own_keys(value: Any) -> None:
    assert key_of(value) is value


def test_what_is_no_value_has_no_key() -> None:
    with pytest.raises(TypeError, match="A set is no value of a document"):
        key_of(cast("EJSONValue", {1}))
