"""Answers of a change stream as bytes, and the events that are cut out of them."""

from typing import Any

import bson
import pytest
from bson.errors import InvalidBSON

from bolide.server.stores.mongo.codec import CODEC_OPTIONS
from bolide.server.stores.mongo.events import SIZE, Events, cut


def answer(*events: dict[str, Any], name: str = "nextBatch") -> dict[str, Any]:
    return {"cursor": {name: list(events), "id": 7, "ns": "d.beds"}, "ok": 1.0}


def event(number: int) -> dict[str, Any]:
    return {"_id": {"_data": "82"}, "fullDocument": {"_id": number, "text": "x" * number}}


def events_of(**shown: Any) -> Any:
    found = cut(bson.encode(shown), CODEC_OPTIONS)
    return None if found is None else found["cursor"]["nextBatch"]


@pytest.mark.parametrize("name", ["nextBatch", "firstBatch"])
@pytest.mark.parametrize("count", [0, 1, 2, 10, 11, 100, 1001])
def test_an_answer_holds_the_same_when_its_events_are_cut_out(name: str, count: int) -> None:
    shown = answer(*map(event, range(count)), name=name)
    found = cut(bson.encode(shown), CODEC_OPTIONS)
    assert found is not None
    events = found["cursor"][name]
    assert isinstance(events, Events)
    assert len(events) == count
    whole = [
        {**each, SIZE: len(bson.encode(each["fullDocument"]))} for each in map(event, range(count))
    ]
    assert list(events) == whole
    found["cursor"][name] = shown["cursor"][name]
    assert found == shown


def test_the_last_event_may_be_looked_at_first() -> None:
    events = events_of(**answer(event(1), event(2), event(3)))
    last = events[-1]
    assert last["fullDocument"]["_id"] == 3
    found = list(events)
    assert [each["fullDocument"]["_id"] for each in found] == [1, 2, 3]
    assert found[-1] is last
    assert events[0] == found[0]
    assert events[1:] == found[1:]


def test_an_event_without_a_document_has_no_size() -> None:
    [found] = events_of(**answer({"_id": {"_data": "82"}, "documentKey": {"_id": 1}}))
    assert found == {"_id": {"_data": "82"}, "documentKey": {"_id": 1}}


@pytest.mark.parametrize(
    "shown",
    [
        {"ok": 1.0, **answer(event(1))},
        {"cursor": {"id": 7, "nextBatch": []}, "ok": 1.0},
        {"cursor": 1},
        {},
    ],
)
def test_an_answer_that_looks_different_is_not_cut(shown: dict[str, Any]) -> None:
    assert cut(bson.encode(shown), CODEC_OPTIONS) is None


@pytest.mark.parametrize("before", [1, 15, 16, 17, 40])
def test_events_before_one_that_cannot_be_decoded_can_be(before: int) -> None:
    raw = bson.encode(answer(*map(event, range(1, before + 1)), {"text": "abc"}, event(0)))
    broken = raw.replace(b"\x04\0\0\0abc\0", b"\x09\0\0\0abc\0")
    found = cut(broken, CODEC_OPTIONS)
    assert found is not None
    events = iter(found["cursor"]["nextBatch"])
    for number in range(1, before + 1):
        assert next(events)["fullDocument"] == {"_id": number, "text": "x" * number}
    with pytest.raises(InvalidBSON):
        next(events)
