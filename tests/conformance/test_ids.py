"""Document ids on the wire: every row of Meteor's ``MongoID``."""

from tests.conformance.rows import Row, for_each, load, passing

from bolide.core.ddp.ids import id_parse, id_stringify
from bolide.core.values import equals

ROWS = load("ids")


@for_each([row for row in ROWS if row["kind"] == "id_stringify"])
def test_id_is_written_as_meteor_does(row: Row) -> None:
    with passing(row):
        assert id_stringify(row["id"]) == row["expect"]


@for_each([row for row in ROWS if row["kind"] == "id_parse"])
def test_id_is_read_as_meteor_does(row: Row) -> None:
    with passing(row):
        assert equals(id_parse(row["s"]), row["expect"])


def test_every_kind_of_row_is_tested() -> None:
    assert {row["kind"] for row in ROWS} == {"id_stringify", "id_parse"}
