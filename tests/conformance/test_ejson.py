"""EJSON: every row of Meteor's own equality and serialisation tests."""

from typing import Any

from tests.conformance.rows import Row, for_each, load, passing

from bolide.core.ejson import from_json, stringify, to_json
from bolide.core.values import equals

ROWS = load("ejson")


@for_each([row for row in ROWS if row["kind"] == "equals"])
def test_equality_is_meteors(row: Row) -> None:
    options = row.get("options", {})
    key_order = options.get("keyOrderSensitive", False)
    with passing(row):
        assert equals(row["a"], row["b"], key_order=key_order) is row["expect"]


@for_each([row for row in ROWS if row["kind"] == "to_json"])
def test_plain_json_is_meteors(row: Row) -> None:
    with passing(row):
        assert to_json(row["value"]) == row.raw["expect"]
    if row["value"] is not None and "$undefined" not in str(row.raw["value"]):
        assert equals(from_json(row.raw["expect"]), row["value"])


@for_each([row for row in ROWS if row["kind"] == "stringify"])
def test_text_is_meteors(row: Row) -> None:
    options: dict[str, Any] = row["options"] or {}
    with passing(row):
        assert stringify(row["value"], **options) == row["expect"]


def test_every_kind_of_row_is_tested() -> None:
    assert {row["kind"] for row in ROWS} == {"equals", "to_json", "stringify"}
