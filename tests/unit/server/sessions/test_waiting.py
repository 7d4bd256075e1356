import json
import sys
from typing import Any

import pytest

from bolide.core.ddp.codec import parse_client_message
from bolide.core.ddp.messages import BadMessage, Method, Sub, Unsub
from bolide.server.limits import VALUES_PER_TEXT, Limits
from bolide.server.sessions.events import MethodRequested
from bolide.server.sessions.session import Session
from bolide.server.sessions.view.strategy import PublicationStrategy
from bolide.server.sessions.waiting import (
    MAX_READ_BYTES,
    Queued,
    Unread,
    let_wait,
    read_again,
    sub_id,
)

DEPTH = Limits().max_json_depth
LONG = "é😀" * MAX_READ_BYTES


def text(**message: Any) -> str:
    return json.dumps(message, ensure_ascii=False)


def read(frame: str) -> Queued:
    message = parse_client_message(frame, max_depth=DEPTH)
    assert isinstance(message, Queued)
    return message


def size_of(frame: str) -> int:
    return len(frame.encode("utf-8", "surrogatepass"))


def room_of(value: Any) -> int:
    """Return the memory of a value and all in it, bytes."""
    seen: dict[int, Any] = {}
    waiting = [value]
    while waiting:
        one = waiting.pop()
        if id(one) not in seen:
            seen[id(one)] = one
            if isinstance(one, dict):
                waiting += [*one.keys(), *one.values()]
            elif isinstance(one, list):
                waiting += one
    return sum(map(sys.getsizeof, seen.values()))


@pytest.mark.parametrize(
    "frame",
    [
        text(msg="method", id="1", method="f", params=[LONG, {"$date": 0}]),
        text(msg="sub", id="1", name=LONG),
        text(msg="unsub", id=LONG),
        text(msg="unknown", text=LONG),
        text(msg="method", id=LONG),
        "\ud800" + LONG,
        LONG,
    ],
)
def test_a_large_message_is_the_same_when_its_turn_comes(frame: str) -> None:
    message = read(frame)
    waiting = let_wait(message, frame, size_of(frame))
    assert waiting != message
    assert read_again(waiting, DEPTH) == message
    assert sub_id(waiting) == ("1" if isinstance(message, Sub) else None)


@pytest.mark.parametrize(
    "message", [Sub("1", "p"), Unsub("1"), Method("1", "f"), BadMessage("Bad request")]
)
def test_a_small_message_waits_as_it_was_read(message: Queued) -> None:
    waiting = let_wait(message, "{}", MAX_READ_BYTES)
    assert waiting is message
    assert read_again(waiting, DEPTH) is message
    assert sub_id(waiting) == ("1" if isinstance(message, Sub) else None)


@pytest.mark.parametrize("kind", ["ping", "bolide.resync"])
def test_a_large_message_in_the_wrong_place_is_told_back(kind: str) -> None:
    frame = text(msg=kind, id=LONG, subs=[], views={})
    message = BadMessage("Bad request", json.loads(frame))
    assert read_again(let_wait(message, frame, size_of(frame)), DEPTH) == message


@pytest.mark.parametrize(
    "params",
    ["[]", "{}", "[[]]", '{"":0}', "1e5", "[" * 59 + "]" * 59, '{"":' * 58 + "0" + "}" * 58],
)
def test_values_take_no_more_than_is_said_and_wait_as_text(params: str) -> None:
    many = ",".join([params] * (50_000 // len(params)))
    frame = f'{{"msg":"method","id":"1","method":"f","params":[{many}]}}'
    message = read(frame)
    assert isinstance(message, Method)
    assert room_of(message.params) < VALUES_PER_TEXT * len(frame)
    waiting = let_wait(message, frame, len(frame))
    assert isinstance(waiting, Unread)
    assert room_of([waiting.text, waiting.sub_id]) < len(frame) + 200


def test_a_large_call_that_waited_is_handed_out_whole() -> None:
    session = Session(
        session_id="s" * 17,
        limits=Limits(),
        heartbeat=None,
        now=0.0,
        strategy_of=lambda _: PublicationStrategy.SERVER_MERGE,
    )
    session.receive_frame('{"msg":"connect","version":"1","support":["1"]}', 0.0)
    session.events_received()
    for id in "12":
        session.receive_frame(text(msg="method", id=id, method="f", params=[LONG]), 1.0)
    (running,) = session.events_received()
    assert isinstance(running, MethodRequested)
    session.finish(running.work)
    (following,) = session.events_received()
    assert isinstance(following, MethodRequested)
    assert (following.work.method_id, following.params) == ("2", [LONG])
