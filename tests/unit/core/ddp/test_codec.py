"""Frames of clients and servers: what is a message, and what is told about what is none."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from bolide.core.ddp.codec import depth_of, parse_client_message, parse_server_message, serialize
from bolide.core.ddp.messages import (
    Added,
    BadMessage,
    CallId,
    Changed,
    ClientMessage,
    Connect,
    Connected,
    Error,
    Failed,
    Have,
    Late,
    Method,
    Move,
    Nosub,
    Ping,
    Pong,
    Ready,
    Removed,
    Result,
    Resync,
    ServerMessage,
    Sub,
    Unsub,
    Updated,
    Void,
    Want,
    WireError,
)
from bolide.core.errors import EJSONError, RemoteProtocolError
from bolide.core.values import UNDEFINED, Encrypted, ObjectId

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
OID = ObjectId("507f1f77bcf86cd799439011")
DIGEST = bytes(range(240, 256))
DIGEST_TEXT = "8PHy8_T19vf4-fr7_P3-_w"


OTHER_SUBS: list[dict[str, Any]] = [
    {"id": 1},
    {"id": None},
    {"name": None},
    {"name": ["x"]},
    {"params": None},
    {"params": {}},
    {"params": {"$date": 0}},
]


def parse(frame: str, max_depth: int = 64) -> ClientMessage | BadMessage:
    return parse_client_message(frame, max_depth=max_depth)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            '{"msg":"connect","session":"s","version":"1","support":["1","pre2"]}',
            Connect("1", ("1", "pre2"), "s"),
        ),
        (
            '{"msg":"connect","version":"1","support":["1"],"bolide":{"resync":true}}',
            Connect("1", ("1",), bolide={"resync": True}),
        ),
        ('{"msg":"sub","id":"1","name":"ward","params":[3]}', Sub("1", "ward", [3])),
        ('{"msg":"unsub","id":"1"}', Unsub("1")),
        (
            '{"msg":"method","method":"m","params":[{"$date":0}],"id":"1","randomSeed":"s"}',
            Method("1", "m", [EPOCH], "s"),
        ),
        ('{"msg":"method","method":"m","params":[],"id":"1"}', Method("1", "m", [])),
        ('{"msg":"ping"}', Ping()),
        ('{"msg":"ping","id":"x"}', Ping("x")),
        ('{"msg":"pong","id":null}', Pong(None)),
        (
            '{"msg":"method","method":"m","params":[],"id":"1",'
            '"bolide":{"client":"0123456789abcdef","call":"c"}}',
            Method("1", "m", [], call=CallId("0123456789abcdef", "c")),
        ),
        (
            f'{{"msg":"bolide.resync","subs":["1"],"views":{{"wards":"{DIGEST_TEXT}"}}}}',
            Resync(("1",), {"wards": DIGEST}),
        ),
        (
            f'{{"msg":"bolide.resync","have":{{"wards":{{"~1":"{DIGEST_TEXT}"}}}},"more":true}}',
            Have({"wards": {"~1": DIGEST}}, more=True),
        ),
        ('{"msg":"bolide.resync","have":{}}', Have({})),
    ],
)
def test_message_of_a_client_survives_the_wire(frame: str, message: ClientMessage) -> None:
    assert parse(frame) == message
    assert serialize(message) == frame


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ('{"msg":"connected","session":"s"}', Connected("s")),
        (
            '{"msg":"connected","session":"s","bolide":{"build":"b"}}',
            Connected("s", {"build": "b"}),
        ),
        ('{"msg":"failed","version":"pre2"}', Failed("pre2")),
        ('{"msg":"error","reason":"Parse error"}', Error("Parse error")),
        (
            '{"msg":"error","reason":"Bad request","offendingMessage":null}',
            Error("Bad request", None),
        ),
        ('{"msg":"ping"}', Ping()),
        ('{"msg":"pong","id":1}', Pong(1)),
        (
            '{"msg":"added","collection":"c","id":"x","fields":{"a":{"$date":0}}}',
            Added("c", "x", {"a": EPOCH}),
        ),
        (f'{{"msg":"added","collection":"c","id":"{OID}"}}', Added("c", OID, {})),
        (
            '{"msg":"changed","collection":"c","id":"x","fields":{"a":1},"cleared":["b"]}',
            Changed("c", "x", {"a": 1}, ("b",)),
        ),
        ('{"msg":"changed","collection":"c","id":"x","cleared":[]}', Changed("c", "x", {})),
        (
            '{"msg":"changed","collection":"c","id":"x","fields":{"a":1}}',
            Changed("c", "x", {"a": 1}),
        ),
        ('{"msg":"removed","collection":"c","id":"-~x"}', Removed("c", "~x")),
        ('{"msg":"ready","subs":["1","2"]}', Ready(("1", "2"))),
        ('{"msg":"nosub","id":"1"}', Nosub("1")),
        ('{"msg":"result","id":"1"}', Result("1")),
        ('{"msg":"result","id":"1","result":null}', Result("1", None)),
        ('{"msg":"result","id":"1","result":{"$binary":"eA=="}}', Result("1", b"x")),
        ('{"msg":"updated","methods":["1"]}', Updated(("1",))),
        (
            '{"msg":"result","id":"1","error":{"isClientSafe":true,"error":404,"message":"[404]",'
            '"errorType":"Meteor.Error"}}',
            Result("1", error=WireError(404)),
        ),
        (
            '{"msg":"nosub","id":"1","error":{"isClientSafe":true,"error":"late","reason":"Too '
            'late","details":{"$date":1},"message":"Too late [late]","errorType":"Meteor.Error"}}',
            Nosub("1", WireError("late", "Too late", {"$date": 1})),
        ),
    ],
)
def test_message_of_a_server_survives_the_wire(frame: str, message: ServerMessage) -> None:
    assert parse_server_message(frame) == message
    assert serialize(message) == frame


@pytest.mark.parametrize(
    "frame",
    [
        "",
        "x",
        "{",
        "null",
        "1",
        '"connect"',
        "true",
        "1e999",
        '{"a":1e999}',
        '"\\ud800"',
        '{"a":"',
        '{"msg":"method","id":"1","method":"m","params":[1e999]}',
        '{"msg":"\ud800"}',
        "[" * 100_000,
        '{"a":' * 100_000,
    ],
)
def test_frame_that_is_no_json_object_is_a_bad_request_without_a_quote(frame: str) -> None:
    assert parse(frame) == BadMessage("Bad request")


@pytest.mark.parametrize(
    "frame",
    [
        "[]",
        "[1]",
        "{}",
        '{"a":1}',
        '{"msg":null}',
        '{"msg":""}',
        '{"msg":1}',
        '{"msg":[]}',
        '{"msg":"foo","params":[{"$date":1}]}',
        '{"msg":"added"}',
        '{"msg":"Sub"}',
    ],
)
def test_object_that_is_no_message_is_quoted_as_it_came(frame: str) -> None:
    assert parse(frame) == BadMessage("Bad request", json.loads(frame))


@pytest.mark.parametrize("msg", ["method", "sub", "foo", None])
@pytest.mark.parametrize("key", ["params", "fields", "result"])
@pytest.mark.parametrize(
    "value", [{"$type": "nope", "$value": 1}, {"$binary": 1}, {"$type": "oid", "$value": "x"}]
)
def test_values_that_cannot_be_read_are_a_parse_error_in_any_object(
    msg: str | None, key: str, value: Any
) -> None:
    assert parse(json.dumps({"msg": msg, key: [value]})) == BadMessage("Parse error")


def test_special_objects_outside_of_values_are_plain_json() -> None:
    assert parse('{"msg":"ping","id":{"$type":"nope","$value":1}}') == Ping(
        {"$type": "nope", "$value": 1}
    )


@pytest.mark.parametrize("changed", OTHER_SUBS)
def test_sub_of_another_shape_is_malformed(changed: dict[str, Any]) -> None:
    sub: Any = {"msg": "sub", "id": "1", "name": "ward", "params": [], **changed}
    assert parse(json.dumps(sub)) == BadMessage("Malformed subscription", sub)


@pytest.mark.parametrize("unsub", [{"msg": "unsub"}, {"msg": "unsub", "id": 1}])
def test_unsub_without_id_is_malformed(unsub: dict[str, Any]) -> None:
    assert parse(json.dumps(unsub)) == BadMessage("Malformed subscription", unsub)


@pytest.mark.parametrize(
    "changed",
    [
        {"id": 1},
        {"method": None},
        {"params": "x"},
        {"params": None},
        {"randomSeed": None},
        {"randomSeed": 1},
        {"randomSeed": "x" * 1001},
    ],
)
def test_method_of_another_shape_is_malformed(changed: dict[str, Any]) -> None:
    method: Any = {"msg": "method", "id": "1", "method": "m", "params": [], **changed}
    assert parse(json.dumps(method)) == BadMessage("Malformed method invocation", method)


@pytest.mark.parametrize(
    "rest",
    [
        '"method":"m","params":[1,{"n":2.5}],"id":"1"}',
        '"id":"1","params":[{"$date":5}],"method":"m","randomSeed":"x"}',
        '"method":"m","params":[],"id":"1","bolide":{"client":"0123456789abcdef","call":"2"}}',
        '"method":"m","params":[],"id":"1","bolide":{"client":"short","call":"2"}}',
        '"method":"m","params":[],"id":"1","bolide":null}',
        '"method":"m","id":"1"}',
        '"method":"m","params":{},"id":"1"}',
        '"method":"m","params":[],"id":1}',
        '"method":"m","params":[],"id":"1","randomSeed":null}',
        '"method":"m","params":[],"id":"1","randomSeed":"' + "x" * 1001 + '"}',
        '"method":"m","params":[{"$type":"nope","$value":1}],"id":"1"}',
        '"method":"m","params":[],"id":"1","result":{"$type":"nope","$value":1}}',
        '"method":"m","params":[],"id":"1","other":1}',
        '"method":"m","params":[' + "[" * 40 + "]" * 40 + '],"id":"1"}',
        '"method":"m","params":[' + "1" * 400 + '],"id":"1"}',
        '"method":"m","params":[9223372036854775808],"id":"1"}',
        '"method":"m","params":["[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["],"id":"1"}',
        '"method":"m","params":[1],"id":"1","params":[2]}',
        '"method":"m","params":[],"id":"1","msg":"sub","name":"n"}',
        '"method":"m","params":[],"id":"1"',
        '"method":"m","params":["\\ud800"],"id":"1"}',
    ],
)
def test_a_method_is_read_alike_however_its_text_begins(rest: str) -> None:
    usual, spaced = (parse_client_message(s + rest, max_depth=32) for s in _BEGINNINGS)
    assert repr(usual) == repr(spaced)


_BEGINNINGS = ('{"msg":"method",', '{ "msg":"method",')


def test_params_may_be_absent_and_ids_empty() -> None:
    assert parse('{"msg":"sub","id":"","name":"ward"}') == Sub("", "ward")
    assert parse('{"msg":"method","id":"","method":"m"}') == Method("", "m")


@pytest.mark.parametrize(
    "changed",
    [{"version": 1}, {"version": None}, {"support": None}, {"support": "1"}, {"support": [1]}],
)
def test_malformed_connect_asks_for_no_version(changed: dict[str, Any]) -> None:
    connect = {"msg": "connect", "version": "1", "support": ["1"], **changed}
    assert parse(json.dumps(connect)) == Connect(None, ())


def test_other_oddities_of_connect_are_overlooked() -> None:
    frame = '{"msg":"connect","version":"1","support":["1"],"session":7,"bolide":true,"x":1}'
    assert parse(frame) == Connect("1", ("1",))


def test_depth_counts_arrays_and_objects_with_the_message_itself() -> None:
    frame = '{"msg":"sub","id":"1","name":"x","params":[[{"a":1}],[],{},"[[[{{{"]}'
    assert parse(frame, max_depth=4) == Sub("1", "x", [[{"a": 1}], [], {}, "[[[{{{"])
    named: Any = {"msg": "sub", "id": "1"}
    assert parse(frame, max_depth=3) == BadMessage("Bad request", named=named)
    assert parse("[[]]", max_depth=1) == BadMessage("Bad request")
    assert depth_of(frame) == 4
    assert [depth_of(text) for text in ("1", "[]", '{"a":[1]}')] == [0, 1, 2]


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ('[{"$type":"nope","$value":1}]', "Parse error"),
        ("[1" + "0" * 400 + "]", "Bad request"),
    ],
)
@pytest.mark.parametrize("msg", ["method", "sub"])
def test_call_that_cannot_be_read_is_named(msg: str, params: str, reason: str) -> None:
    def frame(msg: str, id: str) -> str:
        return f'{{"msg":"{msg}","id":{id},"name":"m","method":"m","params":{params}}}'

    assert parse(frame(msg, '"1"')) == BadMessage(reason, named={"msg": msg, "id": "1"})
    for other in (frame(msg, "1"), frame(msg, f'"{"1" * 65}"'), frame("unsub", '"1"')):
        assert parse(other) == BadMessage(reason)


def test_value_that_is_nested_beyond_reason_cannot_be_sent() -> None:
    deep: Any = []
    for _ in range(20_000):
        deep = [deep]
    with pytest.raises(EJSONError, match="nested"):
        serialize(Sub("1", "x", deep))


def test_last_of_equal_keys_wins() -> None:
    assert parse('{"msg":"sub","msg":"unsub","id":"1","id":"2"}') == Unsub("2")


def test_unknown_message_of_a_server_is_ignored() -> None:
    for frame in ('{"server_id":"0"}', '{"msg":"addedBefore"}', '{"msg":7}', "{}"):
        assert parse_server_message(frame) is None


@pytest.mark.parametrize("frame", ["", "x", "[]", "1", "null", "[" * 100_000, '"\ud800"'])
def test_frame_of_a_server_that_is_no_object_breaks_the_protocol(frame: str) -> None:
    with pytest.raises(RemoteProtocolError, match=r"^The server sent .*JSON"):
        parse_server_message(frame)


def test_values_of_a_server_that_cannot_be_read_break_the_protocol() -> None:
    with pytest.raises(RemoteProtocolError, match="'result' with EJSON we cannot read") as caught:
        parse_server_message('{"msg":"result","id":"1","result":{"$type":"nope","$value":"name"}}')
    assert isinstance(caught.value.__cause__, EJSONError)
    assert "name" not in str(caught.value)


def test_extensions_of_ejson_are_written_to_who_knows_them_only() -> None:
    message = Result("1", [Encrypted(b"x"), 2**60])
    assert serialize(message) == (
        '{"msg":"result","id":"1","result":[{"$binary":"eA=="},1152921504606846976]}'
    )
    assert serialize(message, bolide=True) == (
        '{"msg":"result","id":"1","result":[{"$type":"cse","$value":"eA=="},'
        '{"$type":"long","$value":"1152921504606846976"}]}'
    )


def test_value_that_cannot_be_sent_is_named_by_its_type_only() -> None:
    with pytest.raises(EJSONError, match="type 'set' cannot be sent"):
        serialize(Result("1", {"secret"}))
    with pytest.raises(EJSONError, match="half a surrogate pair") as caught:
        serialize(Result("1", "secret \ud800"))
    assert "secret" not in str(caught.value)


def test_undefined_fields_are_cleared() -> None:
    message = Changed("c", "x", {"a": UNDEFINED, "b": 1}, ("c",))
    assert serialize(message) == (
        '{"msg":"changed","collection":"c","id":"x","fields":{"b":1},"cleared":["c","a"]}'
    )


@pytest.mark.parametrize(
    "call",
    [
        None,
        {},
        {"client": "0123456789abcdef"},
        {"client": "0123456789abcde", "call": "c"},
        {"client": "c" * 65, "call": "c"},
        {"client": "0123456789abcdef", "call": ""},
        {"client": "0123456789abcdef", "call": "c" * 65},
        {"client": "0123456789abcdef", "call": 1},
    ],
)
def test_a_call_id_that_is_none_is_refused(call: Any) -> None:
    message = {"msg": "method", "method": "m", "id": "1", "bolide": call}

    assert parse(json.dumps(message)) == BadMessage("Malformed method invocation", message)


@pytest.mark.parametrize(
    "message",
    [
        {},
        {"subs": ["1"]},
        {"subs": [1], "views": {}},
        {"subs": [], "views": []},
        {"subs": [], "views": {"wards": "short"}},
        {"subs": [], "views": {"wards": 5}},
        {"subs": [], "views": {"wards": "+" * 22}},
        {"have": []},
        {"have": {"wards": []}},
        {"have": {"wards": {"1": None}}},
    ],
)
def test_a_malformed_resync_is_not_repeated(message: dict[str, Any]) -> None:
    assert parse(json.dumps({"msg": "bolide.resync", **message})) == BadMessage("Malformed resync")


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (
            '{"msg":"added","collection":"c","id":"1","fields":{"a":1},"replace":true}',
            Added("c", "1", {"a": 1}, replace=True),
        ),
        ('{"msg":"bolide.resync","want":["wards"]}', Want(("wards",))),
        ('{"msg":"bolide.resync","void":true}', Void()),
        ('{"msg":"bolide.move","within":30}', Move(30)),
        ('{"msg":"bolide.late","because":"why"}', Late("why")),
        ('{"msg":"bolide.late"}', Late(None)),
    ],
)
def test_an_extension_of_the_server_survives_the_wire(frame: str, message: ServerMessage) -> None:
    assert parse_server_message(frame) == message
    assert serialize(message) == frame


@pytest.mark.parametrize("within", ["null", "true", "-1", '"5"'])
def test_a_move_without_a_time_is_refused(within: str) -> None:
    with pytest.raises(RemoteProtocolError, match="within"):
        parse_server_message(f'{{"msg":"bolide.move","within":{within}}}')
