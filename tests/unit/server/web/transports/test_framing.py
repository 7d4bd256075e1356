"""Framing: messages survive both framings, rubbish is told from messages."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolide.server.web.transports.framing import RAW, SOCKJS, BadFrame
from bolide.server.web.transports.framing import TEXTS as TEXTS_OF_ASGI

TEXTS = st.lists(st.text(), min_size=1)


@given(st.text())
def test_sockjs_frame_of_the_server_is_a_json_array_of_one_string(message: str) -> None:
    text = SOCKJS.text(message.encode())
    assert text[:1] == b"a"
    assert json.loads(text[1:]) == [message]


@given(TEXTS)
def test_sockjs_client_sends_an_array(messages: list[str]) -> None:
    assert SOCKJS.messages(json.dumps(messages)) == messages


def test_sockjs_client_may_send_one_string() -> None:
    assert SOCKJS.messages('"x"') == ("x",)


def test_empty_sockjs_frame_holds_nothing() -> None:
    assert SOCKJS.messages("") == ()


@pytest.mark.parametrize("frame", ["{}", "[1]", "nonsense", "[", "\ud800"])
def test_other_sockjs_frames_are_bad(frame: str) -> None:
    with pytest.raises(BadFrame):
        SOCKJS.messages(frame)


def test_sockjs_says_goodbye_with_a_reason() -> None:
    assert SOCKJS.closing("Go away!") == b'c[3000,"Go away!"]'
    assert (SOCKJS.opening, SOCKJS.heartbeat) == (b"o", b"h")


def test_raw_frame_is_the_message() -> None:
    assert RAW.text(b"a") == b"a"
    assert list(RAW.messages("a")) == ["a"]
    assert (RAW.opening, RAW.heartbeat, RAW.closing("x")) == (None, None, None)


def test_asgi_gets_each_text_alone() -> None:
    framing = TEXTS_OF_ASGI[SOCKJS]
    packets = [framing.packet(b"1"), framing.packet(b"2")]
    assert list(framing.bundle(packets)) == [b'a["1"]', b'a["2"]']
