"""The layout of messages: every class has one."""

from typing import get_args

from bolide.core.ddp._wire import WRITERS
from bolide.core.ddp.messages import Added, ClientMessage, Method, ServerMessage, Sub


def test_every_message_can_be_written() -> None:
    assert set(WRITERS) == {*get_args(ClientMessage), *get_args(ServerMessage)}


def test_keys_are_in_meteors_order() -> None:
    method = WRITERS[Method](Method("1", "m", (), "s"), False)
    assert list(method) == ["msg", "method", "params", "id", "randomSeed"]
    assert list(WRITERS[Sub](Sub("1", "n"), False)) == ["msg", "id", "name", "params"]


def test_fields_that_look_like_a_date_are_escaped() -> None:
    wire = WRITERS[Added](Added("c", "x", {"$date": 1}), False)
    assert wire["fields"] == {"$escape": {"$date": 1}}
