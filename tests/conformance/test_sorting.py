"""The order of values and documents: every row of Meteor's own tests and of the random ones."""

import itertools
from typing import Final

import pytest
from tests.conformance.rows import Row, load

from bolide.core.minimongo.compare import compare
from bolide.core.values import EJSONValue

SORT: Final = load("sort")


def _of_type(name: str) -> list[Row]:
    rows = [row for row in SORT if row["type"] == name]
    assert rows
    return rows


@pytest.mark.parametrize("row", _of_type("value_order"), ids=str)
def test_values_are_in_strict_order(row: Row) -> None:
    values: list[EJSONValue] = row["values"]
    for (i, a), (j, b) in itertools.product(enumerate(values), repeat=2):
        assert compare(a, b) == (i > j) - (i < j)


@pytest.mark.parametrize("row", _of_type("compare") + load("fuzz_compare"), ids=str)
def test_values_compare_as_in_meteor(row: Row) -> None:
    assert compare(row["a"], row["b"]) == row["expect"]
