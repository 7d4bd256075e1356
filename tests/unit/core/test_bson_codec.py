"""BSON: what is stored comes back, and what cannot be stored is named by its path."""

import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import BSON, Binary
from bson import Regex as BSONRegex

from bolide.core.bson_codec import BSON_CODEC_OPTIONS, from_bson, restore_custom_values, to_bson
from bolide.core.ejson import add_type
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
    equals,
)


@dataclass(frozen=True)
class Dose:
    """A custom type of an application, with a date inside."""

    amount: float
    given: datetime

    def type_name(self) -> str:
        return "bson-test-dose"

    def to_json_value(self) -> EJSONValue:
        return {"amount": self.amount, "given": [self.given]}


add_type("bson-test-dose", lambda json: Dose(json["amount"], json["given"][0]))


def as_driver_reads(data: bytes) -> dict[str, Any]:
    return BSON(data).decode()


DOSE = Dose(1.5, datetime(2024, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize(
    "value",
    [
        None,
        True,
        1,
        Int64(1),
        2**40,
        1.0,
        math.inf,
        Decimal128("1.50"),
        "é",
        b"x",
        Binary(b"x", 4),
        Encrypted(b"x"),
        ObjectId("507f1f77bcf86cd799439011"),
        datetime(2024, 1, 1, 0, 0, 0, 123000, UTC),
        DatetimeMS(2**60),
        Regex("a.*", "imsx"),
        [1, [2.0]],
        {"b": 1, "a": {}},
        DOSE,
        {"deep": [DOSE, {"date": datetime(2024, 1, 1, tzinfo=UTC)}]},
    ],
)
def test_value_comes_back_as_it_was_stored(value: Any) -> None:
    document = {"_id": "x", "value": value}
    read = from_bson(to_bson(document))
    assert equals(read, document, key_order=True)
    assert isinstance(read["value"], type(value))
    assert to_bson(read) == to_bson(document)


def test_dates_are_in_utc() -> None:
    read = from_bson(to_bson({"a": datetime(2024, 1, 1, tzinfo=UTC)}))
    assert read["a"].tzinfo is UTC


def test_integral_float_stays_a_double() -> None:
    assert as_driver_reads(to_bson({"a": 1.0, "b": 1})) == {"a": 1.0, "b": 1}
    assert type(as_driver_reads(to_bson({"a": 1.0}))["a"]) is float


def test_flags_that_only_javascript_has_are_not_stored() -> None:
    assert as_driver_reads(to_bson({"a": Regex("x", "gi")}))["a"] == BSONRegex("x", re.IGNORECASE)


def test_custom_value_is_stored_as_meteor_does() -> None:
    stored = as_driver_reads(to_bson({"a": Dose(1, datetime(1970, 1, 1, tzinfo=UTC))}))
    given = [{"EJSON$date": 0}]
    value = {"EJSONamount": 1, "EJSONgiven": given}
    assert stored == {"a": {"EJSON$type": "bson-test-dose", "EJSON$value": value}}


@pytest.mark.parametrize(
    "stored",
    [
        {"EJSON$type": "bson-test-unknown", "EJSON$value": 1},
        {"EJSON$type": "bson-test-dose", "EJSON$value": "rubbish"},
        {"EJSON$type": 1, "EJSON$value": [{"EJSONa": 1}]},
        {"EJSON$type": "bson-test-dose"},
        {"EJSON$type": "bson-test-dose", "other": 1},
    ],
)
def test_object_that_only_looks_like_a_custom_value_stays_readable(stored: Any) -> None:
    assert from_bson(to_bson({"a": stored})) == {"a": stored}


def test_driver_that_decodes_itself_can_restore_custom_values() -> None:
    raw = BSON(to_bson({"a": [DOSE]})).decode(BSON_CODEC_OPTIONS)
    assert restore_custom_values(raw) == {"a": [DOSE]}


class Odd:
    """A custom value that cannot even be written."""

    def type_name(self) -> str:
        return "bson-test-odd"

    def to_json_value(self) -> Any:
        return {1, 2}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        ({"a": INVALID_DATE}, "a"),
        ({"a": UNDEFINED}, "a"),
        ({"a": {"b": [0, 2**63]}}, "a.b.1"),
        ({"a": "\ud800"}, "a"),
        ({"a": (0, {"secret"})}, "a.1"),
        ({"ok": 1, "a": {"b": {1: 2}}}, "a.b"),
        ({"a": Regex("secret\0")}, "a"),
        ({"a": Odd()}, "a"),
    ],
)
def test_what_bson_cannot_hold_is_named_by_its_path_only(
    document: dict[str, Any], path: str
) -> None:
    with pytest.raises(ValueError, match="can hold") as caught:
        to_bson(document)
    assert str(caught.value) == f"The value at {path!r} is none that BSON can hold."
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


def test_endless_document_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError, match=r"'a\.0\.0\.0"):
        to_bson({"a": endless})


def test_bytes_that_are_no_document_are_refused() -> None:
    with pytest.raises(ValueError, match="not one document"):
        from_bson(b"\x05\x00\x00\x00\x01")
