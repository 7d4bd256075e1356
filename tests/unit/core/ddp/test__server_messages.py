"""Messages of a server: what each of them needs."""

from typing import Any

import pytest

from bolide.core.ddp._server_messages import SERVER_PARSERS
from bolide.core.ddp.messages import Connected, Error, Result, WireError
from bolide.core.ejson import JSON
from bolide.core.errors import RemoteProtocolError


def parse(json: dict[str, Any]) -> object:
    return SERVER_PARSERS[json["msg"]](json)


@pytest.mark.parametrize(
    ("json", "key"),
    [
        ({"msg": "connected"}, "session"),
        ({"msg": "failed", "version": 1}, "version"),
        ({"msg": "error", "reason": None}, "reason"),
        ({"msg": "added", "id": "x"}, "collection"),
        ({"msg": "added", "collection": "c"}, "id"),
        ({"msg": "added", "collection": "c", "id": "x", "fields": []}, "fields"),
        ({"msg": "added", "collection": "c", "id": "x", "fields": {"$date": 1}}, "fields"),
        ({"msg": "changed", "collection": "c", "id": 1}, "id"),
        ({"msg": "changed", "collection": "c", "id": "x", "cleared": "a"}, "cleared"),
        ({"msg": "changed", "collection": "c", "id": "x", "cleared": [1]}, "cleared"),
        ({"msg": "removed", "collection": "c"}, "id"),
        ({"msg": "ready"}, "subs"),
        ({"msg": "nosub"}, "id"),
        ({"msg": "nosub", "id": "1", "error": "x"}, "error"),
        ({"msg": "result", "id": "1", "error": {}}, "error"),
        ({"msg": "result", "id": "1", "error": {"error": True}}, "error"),
        ({"msg": "updated", "methods": {}}, "methods"),
    ],
)
def test_what_is_missing_is_named(json: dict[str, Any], key: str) -> None:
    with pytest.raises(RemoteProtocolError) as caught:
        parse(json)
    assert str(caught.value) == f"The server sent {json['msg']!r} without a usable {key!r}."


def test_error_keeps_what_has_the_right_type() -> None:
    wire: dict[str, JSON] = {"error": "late", "reason": 1, "details": [1], "errorType": None}
    assert parse({"msg": "result", "id": "1", "error": wire}) == Result(
        "1", error=WireError("late", None, [1])
    )
    assert parse({"msg": "result", "id": "1", "error": {"error": 1.5, "errorType": "Own"}}) == (
        Result("1", error=WireError(1.5, error_type="Own"))
    )


def test_offending_message_and_extensions_are_plain_json() -> None:
    assert parse({"msg": "error", "reason": "Bad request", "offendingMessage": []}) == Error(
        "Bad request", []
    )
    assert parse({"msg": "connected", "session": "s", "bolide": 1}) == Connected("s")
