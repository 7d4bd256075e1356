"""EJSON: every row of Meteor's own equality and serialisation tests."""

import pytest
from tests.conformance.rows import Row, load

from bolide.core.values import equals

ROWS = load("ejson")


@pytest.mark.parametrize("row", [row for row in ROWS if row["kind"] == "equals"], ids=str)
def test_equality_is_meteors(row: Row) -> None:
    options = row.get("options", {})
    key_order = options.get("keyOrderSensitive", False)
    assert equals(row["a"], row["b"], key_order=key_order) is row["expect"]
