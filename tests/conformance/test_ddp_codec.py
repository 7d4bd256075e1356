"""The codec of DDP: every row of Meteor's ``stringifyDDP`` and ``parseDDP``.

Meteor's two functions know nothing of kinds of messages, ours make one of a class; so rows are told
in our classes first. A row whose message is of no known kind must come back as it was sent.
"""

from typing import Any

import pytest
from tests.conformance.exceptions import EXCEPTIONS
from tests.conformance.rows import Row, for_each, load, passing

from bolide.core.ddp.codec import parse_client_message, parse_server_message, serialize
from bolide.core.ddp.ids import id_parse, id_stringify
from bolide.core.ddp.messages import (
    Added,
    BadMessage,
    Changed,
    ClientMessage,
    Method,
    Ping,
    Result,
    ServerMessage,
)
from bolide.core.values import UNDEFINED, equals

ROWS = load("ddp_codec")


def make_message(tree: dict[str, Any]) -> ClientMessage | ServerMessage:
    match tree:
        case {"msg": "added"}:
            return Added(tree["collection"], id_parse(tree["id"]), tree["fields"])
        case {"msg": "changed"}:
            cleared = tuple(tree.get("cleared", ()))
            return Changed(tree["collection"], id_parse(tree["id"]), tree["fields"], cleared)
        case {"msg": "result"}:
            return Result(tree["id"], tree["result"])
        case {"msg": "method"}:
            return Method(tree["id"], tree["method"], tree["params"])
        case {"msg": "ping"}:
            return Ping(tree.get("id", UNDEFINED))
        case _:
            raise AssertionError(f"a row of a new kind: {tree['msg']}")


@for_each([row for row in ROWS if row["kind"] == "ddp_stringify"])
def test_text_is_meteors(row: Row) -> None:
    with passing(row):
        assert serialize(make_message(row["msg"])) == row["expect"]


@pytest.mark.parametrize("row", [row for row in ROWS if row.key in EXCEPTIONS], ids=str)
def test_an_id_is_written_as_the_value_it_was_read_as(row: Row) -> None:
    message = row["msg"]
    written = id_stringify(id_parse(message["id"]))
    expected = row["expect"].replace(f'"id":"{message["id"]}"', f'"id":"{written}"')
    assert serialize(make_message(message)) == expected


@for_each([row for row in ROWS if row["kind"] == "ddp_parse"])
def test_message_is_meteors(row: Row) -> None:
    text = row["text"]
    message = parse_client_message(text, max_depth=64)
    # A message of any shape.
    expected: Any = row.get("expect")
    kind: object = expected["msg"] if "msg" in (expected or ()) else None
    with passing(row):
        if "throws" in row:
            assert message == BadMessage("Parse error")
        elif expected is None:
            assert message == BadMessage("Bad request")
        elif not isinstance(kind, str):
            assert message == BadMessage("Bad request", expected)
        elif kind in ("changed", "result"):
            assert_same(parse_server_message(text), make_message(expected))
        else:
            assert_same(message, make_message(expected))


def assert_same(message: object, expected: ClientMessage | ServerMessage) -> None:
    assert type(message) is type(expected)
    if isinstance(message, Changed) and isinstance(expected, Changed):
        # UNDEFINED in `fields` is how Meteor tells what was cleared.
        fields: dict[str, Any] = {**message.fields, **dict.fromkeys(message.cleared, UNDEFINED)}
        assert (message.collection, message.id) == (expected.collection, expected.id)
        assert equals(fields, dict(expected.fields))
        return
    for name in expected.__struct_fields__:
        assert equals(getattr(message, name), getattr(expected, name))


def test_every_kind_of_row_is_tested() -> None:
    assert {row["kind"] for row in ROWS} == {"ddp_stringify", "ddp_parse"}
