"""Document ids on the wire: every row of Meteor's ``MongoID``."""

import pytest
from tests.conformance.rows import Row, load

from bolide.core.ddp.ids import id_parse, id_stringify
from bolide.core.values import equals

ROWS = load("ids")


@pytest.mark.parametrize("row", [row for row in ROWS if row["kind"] == "id_stringify"], ids=str)
def test_id_is_written_as_meteor_does(row: Row) -> None:
    assert id_stringify(row["id"]) == row["expect"]


@pytest.mark.parametrize("row", [row for row in ROWS if row["kind"] == "id_parse"], ids=str)
def test_id_is_read_as_meteor_does(row: Row) -> None:
    assert equals(id_parse(row["s"]), row["expect"])


def test_every_kind_of_row_is_tested() -> None:
    assert {row["kind"] for row in ROWS} == {"id_stringify", "id_parse"}
