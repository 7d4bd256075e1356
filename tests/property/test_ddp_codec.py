"""DDP frames: messages survive the wire, and no frame whatever makes the codec fail."""

import contextlib
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from bolide.core.ddp.codec import parse_client_message, parse_server_message, serialize
from bolide.core.ddp.ids import id_parse, id_stringify
from bolide.core.ddp.messages import (
    Added,
    BadMessage,
    Changed,
    ClientMessage,
    Connect,
    Error,
    Method,
    Nosub,
    Ping,
    Removed,
    Result,
    ServerMessage,
    Sub,
    WireError,
)
from bolide.core.errors import RemoteProtocolError
from bolide.core.values import Encrypted, ObjectId, equals

TEXTS = st.text(st.characters(codec="utf-8"), max_size=8)
NAMES = TEXTS | st.sampled_from(["_id", "$date", "$escape", "$type", "$value", "msg"])
SCALARS: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(),
    TEXTS,
    st.binary(max_size=4),
    st.binary(max_size=4).map(Encrypted),
)


def containers(items: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(items, max_size=3) | st.dictionaries(NAMES, items, max_size=3)


VALUES = st.recursive(SCALARS, containers, max_leaves=8)
FIELDS = st.dictionaries(NAMES, VALUES, max_size=3)
IDS = st.one_of(
    TEXTS,
    st.binary(min_size=12, max_size=12).map(ObjectId),
    st.binary(min_size=12, max_size=12).map(bytes.hex),
    st.integers(-(2**53), 2**53),
    st.sampled_from(["-", "~", "-a", "~1"]),
)
JSONS: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | TEXTS,
    containers,
    max_leaves=8,
)

CLIENT_MESSAGES: st.SearchStrategy[ClientMessage] = st.one_of(
    st.builds(Connect, TEXTS, st.lists(TEXTS, max_size=3).map(tuple), st.none() | TEXTS),
    st.builds(Sub, TEXTS, TEXTS, st.lists(VALUES, max_size=3)),
    st.builds(Method, TEXTS, TEXTS, st.lists(VALUES, max_size=3), st.none() | TEXTS),
    st.builds(Ping, TEXTS),
)
ERRORS = st.builds(WireError, TEXTS | st.integers(0, 999), st.none() | TEXTS, TEXTS | st.none())
SERVER_MESSAGES: st.SearchStrategy[ServerMessage] = st.one_of(
    st.builds(Added, TEXTS, IDS, FIELDS),
    st.builds(Changed, TEXTS, IDS, FIELDS, st.lists(TEXTS, max_size=3).map(tuple)),
    st.builds(Removed, TEXTS, IDS),
    st.builds(Nosub, TEXTS, st.none() | ERRORS),
    st.builds(Result, TEXTS, VALUES),
    st.builds(Result, TEXTS, error=ERRORS),
)
FRAMES = st.one_of(
    st.text(max_size=30),
    JSONS.map(json.dumps),
    st.dictionaries(
        st.sampled_from(["msg", "id", "name", "method", "params", "randomSeed", "version"])
        | st.sampled_from(["support", "session", "bolide", "fields", "cleared", "result", "error"])
        | st.sampled_from(["collection", "subs", "methods", "reason"]),
        JSONS
        | st.sampled_from(["connect", "sub", "unsub", "method", "ping", "pong", "added"])
        | st.sampled_from(["changed", "removed", "ready", "nosub", "result", "updated"]),
        max_size=6,
    ).map(json.dumps),
)


def assert_same(read: object, sent: ClientMessage | ServerMessage) -> None:
    assert type(read) is type(sent)
    for name in sent.__struct_fields__:
        # Details are plain JSON, params and fields values.
        a: Any = getattr(read, name)
        b: Any = getattr(sent, name)
        assert a == b or equals(a, b)


@settings(max_examples=200, deadline=None)
@given(CLIENT_MESSAGES)
def test_message_of_a_client_survives(message: ClientMessage) -> None:
    assert_same(parse_client_message(serialize(message, bolide=True), max_depth=64), message)


@settings(max_examples=200, deadline=None)
@given(SERVER_MESSAGES)
def test_message_of_a_server_survives(message: ServerMessage) -> None:
    assert_same(parse_server_message(serialize(message, bolide=True)), message)


@settings(max_examples=400, deadline=None)
@given(FRAMES)
def test_any_frame_of_a_client_is_a_message_or_a_bad_one_that_can_be_answered(frame: str) -> None:
    message = parse_client_message(frame, max_depth=8)
    if isinstance(message, BadMessage):
        answer = Error(message.reason, message.offending_message)
        assert parse_server_message(serialize(answer)) == answer
        assert message.reason in {
            "Bad request",
            "Parse error",
            "Malformed subscription",
            "Malformed method invocation",
        }


@settings(max_examples=400, deadline=None)
@given(FRAMES)
def test_any_frame_of_a_server_is_a_message_or_breaks_the_protocol(frame: str) -> None:
    with contextlib.suppress(RemoteProtocolError):
        parse_server_message(frame)


@settings(max_examples=200, deadline=None)
@given(IDS)
def test_id_survives(value: Any) -> None:
    assert equals(id_parse(id_stringify(value)), value)


@given(IDS, IDS)
@settings(deadline=None)
def test_different_ids_are_written_differently(a: Any, b: Any) -> None:
    assert (id_stringify(a) == id_stringify(b)) == equals(a, b)
