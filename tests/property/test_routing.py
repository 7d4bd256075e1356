"""The router finds every query that a document matches, and a window is what a query returns."""

import contextlib
from typing import Any, Final

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.property.test_selectors import DOCUMENTS, SELECTORS, VALUES

from bolide.core.keys import key_of
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.predicates import Bound
from bolide.core.minimongo.query import run_query
from bolide.core.minimongo.sorter import Sorter, with_id
from bolide.core.minimongo.window import Window
from bolide.server.livequery.routing.intervals import Intervals
from bolide.server.livequery.routing.router import PredicateIndex, Router
from bolide.server.stores.base import Change, ChangeKind

NAMES: Final = st.sampled_from(["a", "b", "a.b", "a.0", "b.a", "b.1.a"])
BOUNDS: Final = st.dictionaries(
    st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), VALUES, min_size=1, max_size=3
)
ASKED: Final[st.SearchStrategy[Any]] = st.one_of(
    VALUES,
    BOUNDS,
    st.fixed_dictionaries({"$in": st.lists(VALUES, max_size=3)}),
    st.fixed_dictionaries({"$all": st.lists(VALUES, max_size=2)}),
)
INDEXABLE: Final = st.recursive(
    st.dictionaries(NAMES, ASKED, min_size=1, max_size=2),
    lambda inner: st.dictionaries(
        st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=3), min_size=1
    ),
    max_leaves=4,
)
ANY_SELECTOR: Final = INDEXABLE | SELECTORS


def _compiles(selector: dict[str, Any]) -> bool:
    with contextlib.suppress(MinimongoError):
        Matcher(selector)
        return True
    return False


COMPILED: Final = ANY_SELECTOR.filter(_compiles)


@settings(max_examples=100, deadline=None)
@given(selectors=st.lists(COMPILED, max_size=8), documents=st.lists(DOCUMENTS, max_size=4))
def test_the_index_finds_all_that_match(
    selectors: list[dict[str, Any]], documents: list[dict[str, Any]]
) -> None:
    index: PredicateIndex[int] = PredicateIndex()
    for number, selector in enumerate(selectors):
        index.add(number, selector)
    for document in documents:
        found: dict[int, None] = {}
        index.find(document, found)
        matching = {
            number
            for number, selector in enumerate(selectors)
            if Matcher(selector).matches(document)
        }
        assert matching <= found.keys()


@settings(max_examples=60, deadline=None)
@given(asked=VALUES, path=NAMES, document=DOCUMENTS)
def test_what_asks_for_one_value_is_found_only_by_it(
    asked: Any, path: str, document: dict[str, Any]
) -> None:
    selector = {path: {"$eq": asked}}
    index: PredicateIndex[int] = PredicateIndex()
    index.add(1, selector)
    found: dict[int, None] = {}
    index.find(document, found)
    # A key may be shared by values that differ inside, such as 1 and Decimal128("1") in an array.
    if not isinstance(asked, dict | list):
        assert bool(found) == Matcher({"$or": [{"_id": "x"}, selector]}).matches(document)


@settings(max_examples=60, deadline=None)
@given(selectors=st.lists(COMPILED, min_size=1, max_size=6), document=DOCUMENTS, data=st.data())
def test_what_was_removed_is_not_found(
    selectors: list[dict[str, Any]], document: dict[str, Any], data: st.DataObject
) -> None:
    index: PredicateIndex[int] = PredicateIndex()
    for number, selector in enumerate(selectors):
        index.add(number, selector)
    gone = data.draw(st.sets(st.integers(0, len(selectors) - 1)))
    for number in gone:
        index.remove(number)
    fresh: PredicateIndex[int] = PredicateIndex()
    for number, selector in enumerate(selectors):
        if number not in gone:
            fresh.add(number, selector)
    found: dict[int, None] = {}
    index.find(document, found)
    assert not found.keys() & gone
    assert {n for n in fresh if Matcher(selectors[n]).matches(document)} <= found.keys()
    for number in range(len(selectors)):
        index.remove(number)
    left: dict[int, None] = {}
    index.find(document, left)
    assert not left


STEPS: Final = st.lists(
    st.tuples(
        st.sampled_from(["add", "add", "remove", "find"]), st.integers(0, 9), st.integers(0, 9)
    ),
    max_size=60,
)


@given(steps=STEPS)
def test_intervals_are_those_of_a_list(steps: list[tuple[str, int, int]]) -> None:
    intervals: Intervals[int] = Intervals()
    kept: list[tuple[int, Bound | None, Bound | None, Any]] = []
    for number, (step, x, y) in enumerate(steps):
        match step:
            case "add":
                low = None if x == 0 else Bound(x, x % 2 == 0)
                high = None if y == 9 else Bound(y, y % 3 == 0)
                kept.append((number, low, high, intervals.add(number, low, high)))
            case "remove" if kept:
                intervals.remove(kept.pop(x % len(kept))[3])
            case _:
                least, greatest = min(x, y), max(x, y)
                expected = {
                    item
                    for item, low, high, _ in kept
                    if (
                        low is None
                        or greatest > low.value
                        or (low.is_included and greatest == low.value)
                    )
                    and (
                        high is None
                        or least < high.value
                        or (high.is_included and least == high.value)
                    )
                }
                found = list(intervals.find(least, greatest))
                assert set(found) == expected
                assert len(found) == len(expected)
        assert len(intervals) == len(kept)


IDS: Final = st.sampled_from(["p", "q", "r", "s", "t", "u", "v"])
KEYS: Final[st.SearchStrategy[Any]] = st.one_of(
    st.integers(0, 3),
    st.none(),
    st.sampled_from(["x", "y"]),
    st.lists(st.integers(0, 3), max_size=2),
)
ROWS: Final[st.SearchStrategy[dict[str, Any]]] = st.fixed_dictionaries(
    {}, optional={"n": KEYS, "m": st.fixed_dictionaries({"k": KEYS}), "w": st.booleans()}
)
SORTS: Final = st.sampled_from(
    [
        [("n", 1)],
        [("n", -1)],
        [("m.k", 1)],
        [("m.k", -1), ("w", 1)],
        [("w", 1), ("_id", -1)],
        [("_id", 1)],
    ]
)


@settings(max_examples=100, deadline=None)
@given(
    first=st.dictionaries(IDS, ROWS),
    writes=st.lists(st.tuples(IDS, st.none() | ROWS), max_size=25),
    sort=SORTS,
    skip=st.integers(0, 3),
    limit=st.integers(0, 3),
    buffer=st.integers(0, 3),
)
def test_a_window_is_what_a_query_returns(
    first: dict[str, dict[str, Any]],
    writes: list[tuple[str, dict[str, Any] | None]],
    sort: list[tuple[str, int]],
    skip: int,
    limit: int,
    buffer: int,
) -> None:
    sorter, matcher = Sorter(with_id(sort)), Matcher({})
    documents = {id: {"_id": id, **row} for id, row in first.items()}
    window = Window(sorter, skip=skip, limit=limit, buffer=buffer)

    def read() -> None:
        found = run_query(documents.values(), matcher=matcher, sorter=sorter, limit=window.capacity)
        window.load([(key_of(document["_id"]), document) for document in found])

    read()
    told: dict[Any, Any] = {}
    for write in [None, *writes]:
        if write is not None:
            id, row = write
            if row is None:
                documents.pop(id, None)
                window.discard(id)
            else:
                documents[id] = {"_id": id, **row}
                window.put(id, documents[id])
            if window.must_be_read:
                read()
        expected = run_query(
            documents.values(), matcher=matcher, sorter=sorter, skip=skip, limit=limit
        )
        assert {d["_id"]: d for d in expected} == window.published
        for key in window.take_touched():
            told.pop(key, None)
            if key in window.published:
                told[key] = window.published[key]
        assert told == window.published
        assert len(window) <= (len(documents) if limit == 0 else skip + limit + 2 * buffer)


@settings(max_examples=60, deadline=None)
@given(
    selectors=st.lists(COMPILED, min_size=1, max_size=5),
    writes=st.lists(st.tuples(IDS, st.none() | DOCUMENTS), max_size=20),
    cuts=st.lists(st.integers(1, 4), min_size=1),
)
def test_routed_changes_are_enough_to_know_what_matches(
    selectors: list[dict[str, Any]],
    writes: list[tuple[str, dict[str, Any] | None]],
    cuts: list[int],
) -> None:
    router: Router[int] = Router()
    matchers = [Matcher(selector) for selector in selectors]
    for number, selector in enumerate(selectors):
        router.add(number, "c", selector)
    results: list[set[str]] = [set() for _ in selectors]
    documents: dict[str, dict[str, Any]] = {}
    left = list(writes)
    while left:
        size = cuts[len(left) % len(cuts)]
        batch, left = left[:size], left[size:]
        changes: list[Change] = []
        for position, (id, row) in enumerate(batch):
            document = None if row is None else {**row, "_id": id}
            kind = ChangeKind.DELETE if document is None else ChangeKind.UPDATE
            changes.append(Change(position, "c", id, kind, None, document))
            documents.pop(id, None)
            if document is not None:
                documents[id] = document
        for number, routed, last in router.route(changes):
            assert last is changes[-1]
            for change in routed:
                after = change.after
                if after is not None and matchers[number].matches(after):
                    results[number].add(change.id)
                else:
                    results[number].discard(change.id)
            for id in {change.id for change in routed}:
                (router.hold if id in results[number] else router.drop)(number, id)
        for number, matcher in enumerate(matchers):
            assert results[number] == {d["_id"] for d in documents.values() if matcher.matches(d)}
