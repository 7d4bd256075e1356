"""Answers of a change stream as a server gives them, and the changes that are made of them."""

from collections.abc import Collection
from typing import Any

from bson.timestamp import Timestamp

from bolide.core.keys import key_of
from bolide.server.stores.base import ChangeKind
from bolide.server.stores.mongo.events import SIZE
from bolide.server.stores.mongo.feed.assembly import Assembled, Assembly
from bolide.server.stores.mongo.feed.cache import DocumentCache
from bolide.server.stores.own_collections import FENCES

INSERT, UPDATE, REPLACE, DELETE, LOST = (
    ChangeKind.INSERT,
    ChangeKind.UPDATE,
    ChangeKind.REPLACE,
    ChangeKind.DELETE,
    ChangeKind.COLLECTION_LOST,
)
DESCRIPTIONS = {"updatedFields": {"n": 2}}


def event(kind: str, time: int, id: Any = 1, **more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "operationType": kind,
        "clusterTime": Timestamp(0, time),
        "ns": {"db": "d", "coll": more.pop("coll", "beds")},
        "documentKey": {"_id": id},
        **more,
    }
    if kind in ("insert", "replace"):
        made.setdefault("fullDocument", {"_id": id, "n": 1})
    if kind == "update":
        made.setdefault("updateDescription", DESCRIPTIONS)
    return made


class Stream:
    """An assembly that is given answers."""

    def __init__(self, *declared: str) -> None:
        self.cache = DocumentCache()
        self.assembly = Assembly(self.cache, frozenset(declared) or None, self._wants)
        self.asked: list[Any] = []
        self.is_wanted = True

    def _wants(self, collection: str, id: Any, paths: Collection[str]) -> bool:
        self.asked.append((collection, id, *paths))
        return self.is_wanted

    def take(self, *events: dict[str, Any], time: int) -> Assembled:
        return self.assembly.take(events, time)

    def told(self, *events: dict[str, Any], time: int, found: Any = None) -> list[Any]:
        assembled = self.take(*events, time=time)
        documents = {("beds", key_of(one["_id"])): one for one in found or ()}
        changes = self.assembly.finish(assembled, documents)
        return [(change.kind, change.id, change.before, change.after) for change in changes]


def test_a_document_that_was_told_of_is_known_when_it_is_updated() -> None:
    stream = Stream()
    one, two = {"_id": 1, "n": 1}, {"_id": 1, "n": 2}
    assert stream.told(event("insert", 1), event("update", 2), time=2) == [
        (INSERT, 1, None, one),
        (UPDATE, 1, one, two),
    ]
    assert stream.told(event("replace", 3), event("delete", 4), time=4) == [
        (REPLACE, 1, two, one),
        (DELETE, 1, one, None),
    ]


def test_a_document_that_is_missing_is_taken_as_it_is_at_the_end() -> None:
    stream = Stream()
    assembled = stream.take(event("update", 1), event("update", 2), event("update", 3, 2), time=3)
    assert assembled.position == 3
    assert assembled.ids == {("beds", key_of(1)): 1, ("beds", key_of(2)): 2}
    found = {("beds", key_of(1)): {"_id": 1, "n": 2}, ("beds", key_of(2)): {"_id": 2}}
    changes = stream.assembly.finish(assembled, found)
    assert [(change.position, change.id, change.after) for change in changes] == [
        (2, 1, {"_id": 1, "n": 2}),
        (3, 2, {"_id": 2}),
    ]
    [(kind, _, before, after)] = stream.told(
        event("update", 4, updateDescription={"updatedFields": {"m": 1}}), time=4
    )
    assert (kind, before, after) == (UPDATE, {"_id": 1, "n": 2}, {"_id": 1, "n": 2, "m": 1})


def test_a_missing_document_that_came_whole_later_is_not_read() -> None:
    for last, after in (("replace", {"_id": 1, "n": 1}), ("delete", None)):
        stream = Stream()
        assembled = stream.take(event("update", 1), event(last, 2), time=2)
        assert not assembled.missing
        assert not assembled.ids
        [change] = stream.assembly.finish(assembled, {})
        assert change.after == after


def test_a_missing_document_that_is_not_there_any_more_is_deleted() -> None:
    stream = Stream()
    assert stream.told(event("update", 1), time=1) == [(DELETE, 1, None, None)]


def test_what_leaves_a_doubt_is_read() -> None:
    stream = Stream()
    stream.told(event("insert", 1), time=1)
    doubtful = event("update", 2, updateDescription={"updatedFields": {"a.b": 1}})
    found = {"_id": 1, "a": {"b": 1}}
    assert stream.told(doubtful, time=2, found=[found]) == [(UPDATE, 1, None, found)]


def test_what_a_reading_found_is_used_after_it_only() -> None:
    stream = Stream()
    stream.cache.add(("beds", key_of(1)), {"_id": 1, "n": 7}, 2)
    assert stream.take(event("update", 2), time=2).missing
    stream = Stream()
    stream.cache.add(("beds", key_of(1)), {"_id": 1, "n": 7}, 2)
    assert not stream.take(event("update", 3), time=3).missing


def test_a_transaction_is_held_until_it_is_known_to_be_whole() -> None:
    stream = Stream()
    first = stream.take(event("insert", 4), event("insert", 5, 2, txnNumber=1), time=5)
    assert (first.position, len(first.changes)) == (4, 1)
    assert stream.assembly.is_in_transaction
    second = stream.take(event("insert", 5, 3, txnNumber=1), time=5)
    assert (second.position, second.changes) == (4, [])
    end = stream.take(time=5)
    assert end.position == 5
    assert [change.id for change in stream.assembly.finish(end, {})] == [2, 3]
    assert not stream.assembly.is_in_transaction


def test_a_later_time_ends_a_transaction() -> None:
    stream = Stream()
    stream.take(event("insert", 5, 2, txnNumber=1), time=5)
    end = stream.take(event("insert", 6, 3), time=6)
    assert (end.position, len(end.changes)) == (6, 2)
    also = stream.take(event("insert", 7, 4, txnNumber=2), time=9)
    assert (also.position, len(also.changes)) == (9, 1)


def test_a_stream_that_is_resumed_before_a_transaction_tells_nothing_twice() -> None:
    stream = Stream()
    events = (event("insert", 4), event("insert", 5, 2, txnNumber=1))
    stream.take(*events, time=5)
    stream.assembly.restart()
    again = stream.take(*events, event("insert", 5, 3, txnNumber=1), event("insert", 6, 4), time=6)
    assert [change.id for change in stream.assembly.finish(again, {})] == [2, 3, 4]


def test_a_collection_that_is_lost_takes_along_what_is_missing_of_it() -> None:
    stream = Stream()
    told = stream.told(
        event("insert", 1, 2, coll="wards"),
        event("update", 2),
        {
            "operationType": "drop",
            "clusterTime": Timestamp(0, 3),
            "ns": {"db": "d", "coll": "beds"},
        },
        event("insert", 4),
        time=4,
    )
    assert [(kind, id) for kind, id, _, _ in told] == [(INSERT, 2), (LOST, None), (INSERT, 1)]


def test_a_rename_loses_both_names() -> None:
    stream = Stream("beds", "wards")
    rename = {
        "operationType": "rename",
        "clusterTime": Timestamp(0, 3),
        "ns": {"db": "d", "coll": "tmp"},
        "to": {"db": "d", "coll": "beds"},
    }
    changes = stream.assembly.finish(stream.take(rename, time=3), {})
    assert [(change.kind, change.collection) for change in changes] == [(LOST, "beds")]


def test_only_what_is_declared_is_told() -> None:
    stream = Stream("beds")
    assert stream.told(event("insert", 1, coll="other"), event("insert", 2), time=2) == [
        (INSERT, 1, None, {"_id": 1, "n": 1})
    ]
    assert Stream().told(event("insert", 1, coll=FENCES), time=1) == []
    assert (
        stream.told({"operationType": "invalidate", "clusterTime": Timestamp(0, 3)}, time=3) == []
    )


def test_an_update_of_a_missing_document_that_nobody_wants_is_left_out() -> None:
    stream = Stream()
    stream.is_wanted = False
    description = {
        "updatedFields": {"n": 2, "a.b": 1},
        "removedFields": ["c"],
        "truncatedArrays": [{"field": "d", "newSize": 1}],
    }
    assembled = stream.take(
        event("update", 1, updateDescription=description), event("insert", 2, 2), time=2
    )
    assert stream.asked == [("beds", 1, "n", "a.b", "c", "d")]
    assert not assembled.missing
    assert [change.id for change in stream.assembly.finish(assembled, {})] == [2]
    assert (assembled.position, stream.assembly.last_event) == (2, 2)
    assert stream.told(event("update", 3), time=9) == []
    assert stream.assembly.last_event == 3


def test_what_is_left_out_is_not_kept_by_who_reads_it_just_now() -> None:
    stream = Stream()
    stream.is_wanted = False
    with stream.cache.reading() as reading:
        stream.take(event("update", 5), time=5)
        reading.add("beds", [{"_id": 1, "n": 1}], 4)
    stream.is_wanted = True
    assert stream.take(event("update", 6), time=6).missing


def test_after_another_change_of_its_batch_nobody_can_do_without_an_update() -> None:
    stream = Stream()
    stream.cache = DocumentCache(max_bytes=0)
    stream.assembly._cache = stream.cache  # pyright: ignore[reportPrivateUsage]
    stream.is_wanted = False
    assembled = stream.take(event("insert", 1), event("update", 2), event("update", 3), time=3)
    assert assembled.missing == {("beds", key_of(1)): 2}


def test_a_collection_that_is_gone_when_it_is_read_is_lost() -> None:
    stream = Stream()
    assembled = stream.take(
        event("insert", 1, 2), event("update", 2), event("insert", 3, coll="wards"), time=4
    )
    stream.assembly.lose(assembled, "beds")
    changes = stream.assembly.finish(assembled, {})
    assert [(change.collection, change.kind) for change in changes] == [
        ("wards", INSERT),
        ("beds", LOST),
    ]
    assert changes[-1].position == assembled.position
    assert len(stream.cache) == 1


def test_an_update_of_a_known_document_that_nobody_wants_is_only_kept() -> None:
    stream = Stream()
    stream.told(event("insert", 1), time=1)
    stream.is_wanted = False
    assert stream.told(event("update", 2), time=2) == []
    assert stream.asked == [("beds", 1, "n")]
    stream.is_wanted = True
    updated = event("update", 3, updateDescription={"updatedFields": {"m": 3}})
    before, after = {"_id": 1, "n": 2}, {"_id": 1, "n": 2, "m": 3}
    assert stream.told(updated, time=3) == [(UPDATE, 1, before, after)]


def test_after_an_insert_of_its_batch_nobody_can_do_without_a_known_update() -> None:
    stream = Stream()
    stream.is_wanted = False
    told = stream.told(event("insert", 1), event("update", 2), time=2)
    assert [kind for kind, *_ in told] == [INSERT, UPDATE]
    assert not stream.asked


def test_the_size_of_a_document_is_the_one_that_came_with_it() -> None:
    stream = Stream()
    stream.told({**event("insert", 1), SIZE: 123}, time=1)
    assert stream.cache.size == 123
