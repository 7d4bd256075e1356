from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Int64, ObjectId

from bolide.core.keys import key_of
from bolide.server.stores.mongo.feed.cache import DocumentCache
from bolide.server.stores.mongo.feed.delta import applied

KEY = ("beds", key_of(1))


def document(id: int, size: int = 0) -> dict[str, Any]:
    return {"_id": id, "text": "x" * size}


def test_what_the_feed_told_is_known_before_every_later_change() -> None:
    cache = DocumentCache()
    assert cache.before(KEY, 5) is None
    cache.put(KEY, document(1))
    assert cache.before(KEY, 5) == document(1)
    cache.remove(KEY)
    assert cache.before(KEY, 6) is None
    assert (len(cache), cache.size) == (0, 0)


def test_what_was_read_is_known_only_before_changes_after_the_reading() -> None:
    cache = DocumentCache()
    cache.add(KEY, document(1), 7)
    assert cache.before(KEY, 7) is None
    assert cache.before(KEY, 8) == document(1)


def test_what_was_read_does_not_replace_what_the_feed_told() -> None:
    cache = DocumentCache()
    cache.put(KEY, document(1, 5))
    cache.add(KEY, document(1), 7)
    assert cache.before(KEY, 6) == document(1, 5)


def test_what_was_read_before_something_was_forgotten_is_not_added() -> None:
    cache = DocumentCache()
    with cache.reading() as reading:
        cache.put(KEY, document(1))
        cache.clear()
        reading.add("beds", [document(1)], 7)
    assert len(cache) == 0


def test_what_changed_unseen_while_it_was_read_is_not_added() -> None:
    cache = DocumentCache()
    with cache.reading() as reading, cache.reading() as later:
        cache.pass_over(KEY)
        reading.add("beds", [document(1), document(2)], 7)
        assert len(cache) == 1
        cache.pass_over(("beds", key_of(2)))
        later.add("beds", [document(2)], 7)
    assert len(cache) == 0
    with cache.reading() as after_it:
        after_it.add("beds", [document(1)], 8)
    assert len(cache) == 1


def test_what_was_needed_longest_ago_is_forgotten_first() -> None:
    cache = DocumentCache(max_bytes=450)
    for id in (1, 2, 3):
        cache.put(("beds", key_of(id)), document(id, 100))
    assert cache.before(KEY, 9) == document(1, 100)
    with cache.reading() as reading:
        cache.put(("beds", key_of(4)), document(4, 100))
        reading.add("beds", [document(2)], 5)
    assert cache.before(("beds", key_of(2)), 9) is None
    assert cache.before(KEY, 9) == document(1, 100)
    assert cache.size <= 450


def test_a_document_that_is_larger_than_all_may_be_is_not_kept() -> None:
    cache = DocumentCache(max_bytes=100)
    cache.put(KEY, document(1, 200))
    assert (len(cache), cache.size) == (0, 0)


def test_a_lost_collection_takes_its_documents_along() -> None:
    cache = DocumentCache()
    cache.put(KEY, document(1))
    cache.put(("wards", key_of(1)), document(1))
    cache.remove_collection("beds")
    assert cache.before(KEY, 9) is None
    assert cache.before(("wards", key_of(1)), 9) == document(1)


def test_a_size_that_is_known_is_not_measured() -> None:
    cache = DocumentCache(max_bytes=100)
    cache.put(KEY, document(1), size=70)
    assert cache.size == 70
    cache.put(("beds", key_of(2)), document(2), size=31)
    assert (len(cache), cache.size) == (1, 31)


DATE = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("before", "only_set"),
    [
        ({"n": 1}, {"n": 2}),
        ({"n": 1}, {"n": 2.5}),
        ({"n": 1}, {"n": Int64(1 << 40)}),
        ({"n": Int64(1)}, {"n": Int64(1 << 40)}),
        ({"n": 1.5, "m": DATE}, {"n": 2.5, "m": DATE}),
        ({"n": None}, {"n": None}),
        ({"n": None}, {"n": True}),
        ({}, {"n": None}),
        ({"text": "abc"}, {"text": "abcdef"}),
        ({"text": "abcdef"}, {"text": ""}),
        ({"text": "abc"}, {"text": "äöü"}),
        ({"text": "äöü"}, {"text": "abc"}),
        ({"a": [1]}, {"a": [1, 2]}),
        ({"a": {"b": 1}}, {"a": {"b": "long"}}),
        ({"a": {"b": 1}}, {"a.b": "long"}),
        ({"data": b"x"}, {"data": b"xyz"}),
        ({"id": ObjectId()}, {"id": ObjectId()}),
    ],
)
def test_the_size_after_an_update_is_what_it_would_be_measured(
    before: dict[str, Any], only_set: dict[str, Any]
) -> None:
    after = applied(before, {"updatedFields": only_set})
    assert after is not None
    cache = DocumentCache()
    cache.put(KEY, before)
    cache.put(KEY, after, only_set=only_set)
    assert cache.size == len(bson.encode(after))
    assert cache.before(KEY, 1) == after
    cache.put(("beds", key_of(2)), after, only_set=only_set)
    assert cache.size == 2 * len(bson.encode(after))


def test_an_update_counts_for_changes_after_it_like_any_other() -> None:
    cache = DocumentCache()
    cache.add(KEY, document(1), 7)
    cache.put(KEY, {"_id": 1, "text": "y"}, only_set={"text": "y"})
    assert cache.before(KEY, 7) == {"_id": 1, "text": "y"}
