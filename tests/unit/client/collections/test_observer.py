"""Observers: whatever happens to the documents, the result is the query's."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bolide.client.collections.local_collection import LocalCollection
from bolide.client.collections.observer import ChangeReader, Selection
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.values import ObjectId, Regex


def collection(*documents: dict[str, Any]) -> LocalCollection:
    local = LocalCollection("p")
    for document in documents:
        local.put(document["_id"], document)
    return local


def ids(documents: list[dict[str, Any]]) -> str:
    return "".join(document["_id"] for document in documents)


def no_change() -> None:
    raise AssertionError("nothing that is shown has changed")


def test_without_a_sort_documents_keep_the_order_of_arrival() -> None:
    local = collection({"_id": "b"}, {"_id": "a"}, {"_id": "c"})
    local.put("b", {"_id": "b", "n": 1})
    local.put("a", None)
    local.put("a", {"_id": "a"})
    assert ids(local.fetch(Selection())) == "bca"


def test_equal_sort_keys_keep_the_order_of_arrival() -> None:
    local = collection({"_id": "b", "n": 1}, {"_id": "a", "n": 1}, {"_id": "c", "n": 0})
    observer = local.observe(Selection(sort=[("n", 1)]), lambda: None)
    local.put("b", {"_id": "b", "n": 1, "x": 1})
    assert ids([row.document for row in observer.rows()]) == "cba"
    assert ids(local.fetch(Selection(sort=[("n", 1)]))) == "cba"


def test_window_shows_what_moves_into_it() -> None:
    local = collection(*({"_id": x, "n": n} for n, x in enumerate("abcd")))
    reader = ChangeReader(local.observe(Selection(sort={"n": 1}, skip=1, limit=2), lambda: None))
    assert [change.id for change in reader.read()] == ["b", "c"]
    local.put("a", None)
    assert [(type(change).__name__, change.id) for change in reader.read()] == [
        ("Removed", "b"),
        ("Added", "d"),
    ]
    local.put("z", {"_id": "z", "n": -1})
    assert [change.id for change in reader.read()] == ["d", "b"]


def test_limit_zero_is_no_limit_and_negative_numbers_are_refused() -> None:
    assert len(collection({"_id": "a"}).fetch(Selection(limit=0))) == 1
    with pytest.raises(MinimongoError, match="negative"):
        Selection(skip=-1)
    with pytest.raises(MinimongoError, match="negative"):
        Selection(limit=-1)


def test_change_outside_the_projection_or_the_selector_wakes_nobody() -> None:
    local = collection({"_id": "a", "n": 1, "x": 1})
    local.observe(Selection({"n": 1}, projection={"n": 1}), no_change)
    local.put("a", {"_id": "a", "n": 1, "x": 2})
    local.put("b", {"_id": "b", "n": 2})
    local.put("b", {"_id": "b", "n": 3})
    local.put("b", None)
    local.put("c", None)


def test_stopped_observer_is_not_woken() -> None:
    local = collection()
    observer = local.observe(Selection(), no_change)
    local.stop(observer)
    local.put("a", {"_id": "a"})


@pytest.mark.parametrize("selector", ["a", {"_id": "a"}, {"_id": "a", "n": 1}])
def test_query_by_id_finds_that_document(selector: Any) -> None:
    local = collection({"_id": "a", "n": 1}, {"_id": "b", "n": 1})
    assert ids(local.fetch(Selection(selector))) == "a"
    assert local.fetch(Selection("x")) == []


def test_query_by_object_id_finds_that_document() -> None:
    document_id = ObjectId()
    local = collection({"_id": "a"}, {"_id": document_id})
    assert local.fetch(Selection(document_id)) == [{"_id": document_id}]


def test_no_selector_at_all_selects_nothing() -> None:
    assert collection({"_id": "a"}).fetch(Selection(None)) == []


def test_near_orders_by_distance() -> None:
    local = collection(*({"_id": x, "at": [n, 0]} for x, n in zip("abc", (3, 1, 2), strict=True)))
    local.put("d", {"_id": "d"})
    assert ids(local.fetch(Selection({"at": {"$near": [0, 0]}}))) == "bca"


def test_query_that_does_not_fit_a_later_document_fails_for_its_reader_only() -> None:
    local = collection({"_id": "a", "n": Regex("a")})
    woken: list[int] = []
    observer = local.observe(Selection(sort={"n": 1}), lambda: woken.append(1))
    other = local.observe(Selection(), lambda: None)
    local.put("b", {"_id": "b", "n": Regex("b")})
    local.put("c", {"_id": "c"})
    assert woken == [1]
    with pytest.raises(MinimongoError):
        observer.rows()
    assert len(other.rows()) == 3


def test_closing_wakes_the_readers() -> None:
    local = collection()
    woken: list[int] = []
    local.observe(Selection(), lambda: woken.append(1))
    local.close()
    assert woken == [1]
    assert local.is_closed


@given(
    steps=st.lists(
        st.tuples(st.sampled_from("abcdef"), st.none() | st.integers(0, 3)), max_size=30
    ),
    skip=st.integers(0, 2),
    limit=st.none() | st.integers(1, 3),
    is_sorted=st.booleans(),
)
def test_observer_always_shows_what_a_fresh_query_would(
    steps: list[tuple[str, int | None]], skip: int, limit: int | None, is_sorted: bool
) -> None:
    local = collection({"_id": "a", "n": 1}, {"_id": "b", "n": 2})
    sort = {"n": -1} if is_sorted else None
    selection = Selection({"n": {"$gt": 0}}, sort=sort, skip=skip, limit=limit)
    observer = local.observe(selection, lambda: None)
    for document_id, n in steps:
        local.put(document_id, None if n is None else {"_id": document_id, "n": n})
        assert [row.document for row in observer.rows()] == local.fetch(selection)
