"""EJSON: every row of Meteor's own equality and serialisation tests."""

from typing import Any

import pytest
from tests.conformance.rows import Row, load

from bolide.core.ejson import from_json, stringify, to_json
from bolide.core.values import equals

ROWS = load("ejson")


@pytest.mark.parametrize("row", [row for row in ROWS if row["kind"] == "equals"], ids=str)
def test_equality_is_meteors(row: Row) -> None:
    options = row.get("options", {})
    key_order = options.get("keyOrderSensitive", False)
    assert equals(row["a"], row["b"], key_order=key_order) is row["expect"]


@pytest.mark.parametrize("row", [row for row in ROWS if row["kind"] == "to_json"], ids=str)
def test_plain_json_is_meteors(row: Row) -> None:
    assert to_json(row["value"]) == row.raw["expect"]
    if row["value"] is not None and "$undefined" not in str(row.raw["value"]):
        assert equals(from_json(row.raw["expect"]), row["value"])


@pytest.mark.parametrize("row", [row for row in ROWS if row["kind"] == "stringify"], ids=str)
def test_text_is_meteors(row: Row) -> None:
    options: dict[str, Any] = row["options"] or {}
    assert stringify(row["value"], **options) == row["expect"]


def test_every_kind_of_row_is_tested() -> None:
    assert {row["kind"] for row in ROWS} == {"equals", "to_json", "stringify"}
