"""Projections: every row of Meteor's own tests and of the random ones."""

# The values of rows have any shape.
from typing import Any, Final

import pytest
from tests.conformance.exceptions import REFUTED_BY_MONGOD
from tests.conformance.rows import Row, for_each, load, passing

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.paths import is_array, is_document
from bolide.core.minimongo.projection import Projection
from bolide.core.values import equals

ROWS: Final = load("projection") + load("fuzz_projection")


@for_each([row for row in ROWS if "error" not in row])
def test_shows_what_meteor_shows(row: Row) -> None:
    with passing(row):
        assert equals(Projection(row["projection"]).apply(row["doc"]), row["expect"])


@for_each([row for row in ROWS if "error" in row])
def test_refuses_what_meteor_refuses(row: Row) -> None:
    with passing(row), pytest.raises(MinimongoError):
        Projection(row["projection"])


@pytest.mark.parametrize("row", [row for row in ROWS if row.key in REFUTED_BY_MONGOD], ids=str)
def test_what_is_no_document_is_left_out_as_in_mongod(row: Row) -> None:
    shown = Projection(row["projection"]).apply(row["doc"])
    assert _without_empty(shown) == _without_empty(row["expect"])


def _without_empty(value: Any) -> Any:
    """Leave out what the two leave behind: empty objects, arrays of these, and null in arrays."""
    if is_document(value):
        fields = {name: _without_empty(item) for name, item in value.items()}
        return {name: item for name, item in fields.items() if item not in ({}, [])}
    if is_array(value):
        items = [_without_empty(item) for item in value]
        return [item for item in items if item not in ({}, [], None)]
    return value
