"""Projections: every row of Meteor's own tests and of the random ones."""

# The values of rows have any shape.
from typing import Any, Final

import pytest
from tests.conformance.rows import Row, load

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.paths import is_array, is_document
from bolide.core.minimongo.projection import Projection
from bolide.core.values import equals

# An inclusion below a value that is no document: MongoDB leaves it out, minimongo shows {} in its
# place (and null in arrays). No handwritten row asks for either, so MongoDB decides, since the same
# projection runs there as well (mongod 6.0.5 shows for each of these what is shown here).
NO_DOCUMENT: Final = frozenset(
    f"fuzz_projection:{number}"
    for number in (
        *(5, 6, 12, 64, 72, 75, 84, 100, 105, 106, 155, 172),
        *(175, 178, 192, 213, 220, 267, 277, 298, 302, 319, 320, 360),
    )
)

ROWS: Final = load("projection") + load("fuzz_projection")
SHOWN: Final = [row for row in ROWS if "error" not in row and str(row) not in NO_DOCUMENT]


@pytest.mark.parametrize("row", SHOWN, ids=str)
def test_shows_what_meteor_shows(row: Row) -> None:
    assert equals(Projection(row["projection"]).apply(row["doc"]), row["expect"])


@pytest.mark.parametrize("row", [row for row in ROWS if "error" in row], ids=str)
def test_refuses_what_meteor_refuses(row: Row) -> None:
    with pytest.raises(MinimongoError):
        Projection(row["projection"])


@pytest.mark.parametrize("row", [row for row in ROWS if str(row) in NO_DOCUMENT], ids=str)
def test_what_is_no_document_is_left_out_as_in_mongodb(row: Row) -> None:
    shown = Projection(row["projection"]).apply(row["doc"])
    assert not equals(shown, row["expect"])
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
