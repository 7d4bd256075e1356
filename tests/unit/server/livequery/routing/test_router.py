from datetime import UTC, datetime
from typing import Any

import pytest

from bolide.core.keys import key_of
from bolide.core.minimongo.predicates import Equality
from bolide.core.minimongo.projection import Projection
from bolide.core.values import Decimal128
from bolide.server.livequery.routing.interest import Interest, interest_in
from bolide.server.livequery.routing.router import PredicateIndex, Router
from bolide.server.stores.base import Change, ChangeKind


def change(
    id: Any,
    after: dict[str, Any] | None,
    before: dict[str, Any] | None = None,
    *,
    collection: str = "c",
    kind: ChangeKind = ChangeKind.UPDATE,
) -> Change:
    return Change(1, collection, id, kind, before, after)


def routed(router: Router[str], *changes: Change) -> dict[str, list[Any]]:
    return {item: [c.id for c in given] for item, given, _ in router.route(changes)}


def found(selector: dict[str, Any], document: dict[str, Any]) -> bool:
    index: PredicateIndex[int] = PredicateIndex()
    index.add(1, selector)
    items: dict[int, None] = {}
    index.find(document, items)
    return bool(items)


MEANINGS: list[tuple[dict[str, Any], dict[str, Any], bool]] = [
    ({"a": 1}, {"a": 1.0}, True),
    ({"a": 1}, {"a": Decimal128("1")}, True),
    ({"a": 1}, {"a": True}, False),
    ({"a": 1}, {"a": [0, 1]}, True),
    ({"a": [0, 1]}, {"a": [0, 1]}, True),
    ({"a": [0, 1]}, {"a": [[0, 1]]}, True),
    ({"a": [0, 1]}, {"a": [0]}, False),
    ({"a": {"b": 1}}, {"a": {"b": 1}}, True),
    ({"a": {"b": 1}}, {"a": [{"b": 1}]}, True),
    ({"a": None}, {}, True),
    ({"a": None}, {"a": {}}, False),
    ({"a.b": None}, {"a": {}}, True),
    ({"a.b": "x"}, {"a": [{"b": "y"}, {"b": ["x"]}]}, True),
    ({"a.1": "x"}, {"a": ["y", "x"]}, True),
    ({"a": {"$in": ["x", None]}}, {}, True),
    ({"a": {"$in": []}}, {"a": "x"}, False),
    ({"a": {"$gt": 1, "$lt": 3}}, {"a": 2}, True),
    ({"a": {"$gt": 1, "$lt": 3}}, {"a": 3}, False),
    ({"a": {"$gt": 1, "$lt": 3}}, {"a": [0, 9]}, True),
    ({"a": {"$gt": 1, "$lt": 3}}, {"a": [0, 1]}, False),
    ({"a": {"$gt": 1, "$lt": 3}}, {"a": ["x", {}, []]}, False),
    ({"a": {"$gt": 1}}, {"a": "x"}, False),
    ({"a": {"$gt": 1}}, {}, False),
    ({"a.b": {"$gte": "m"}}, {"a": [{"b": "c"}, {"b": "n"}]}, True),
    ({"a": {"$lt": datetime(2024, 1, 1)}}, {"a": datetime(2023, 1, 1, tzinfo=UTC)}, True),
    ({"$or": [{"a": "x"}, {"b": {"$gt": 1}}]}, {"b": 2}, True),
    ({"$or": [{"a": "x"}, {"b": {"$gt": 1}}]}, {"a": "y", "b": 1}, False),
    ({"$or": [{"a": {"$gt": 5}}, {"a": {"$lt": 1}}]}, {"a": 0}, True),
    ({"$or": [{"a": {"$gt": 5}}, {"a": {"$lt": 1}}]}, {"a": 9}, True),
    ({"$or": [{"a": {"$gt": 5}}, {"a": {"$lt": 1}}]}, {"a": 3}, False),
    ({"a": {"$ne": 1}}, {"a": 1}, True),
    ({}, {}, True),
]


@pytest.mark.parametrize(("selector", "document", "expected"), MEANINGS)
def test_the_index_knows_what_selectors_mean(
    selector: dict[str, Any], document: dict[str, Any], expected: bool
) -> None:
    assert found(selector, document) == expected


def test_an_index_is_empty_again_after_all_left() -> None:
    index: PredicateIndex[int] = PredicateIndex()
    selectors: list[dict[str, Any]] = [
        {"a": 1}, {"a": 1, "b": 2}, {"a": {"b": 1}}, {"a": {"b": 1}}, {"c": {"$gt": 1}}, {},
        {"$or": [{"a": {"$gt": 5}}, {"a": {"$lt": 1}}]}, {"a": {"$in": [[1], "x"]}},
    ]  # fmt: skip
    for number, selector in enumerate(selectors):
        index.add(number, selector)
    assert list(index) == list(range(len(selectors)))
    for number in [*range(len(selectors)), 0]:
        index.remove(number)
    assert len(index) == 0
    state = vars(index)
    assert not any(state.values())


def test_a_query_stands_where_values_differ_most() -> None:
    index: PredicateIndex[int] = PredicateIndex()
    for number in range(4):
        index.add(number, {"kind": "vitals", "ward": f"w{number}"})
    chosen = index.add(4, {"kind": "vitals", "ward": "w4"})
    assert chosen == (Equality("ward", "w4"),)
    # Of many values each lets a part through.
    many = {"ward": {"$in": ["w0", "w1", "w2", "w3", "w4"]}, "kind": {"$in": ["vitals"]}}
    assert index.add(9, many) is not None
    chosen = index.add(10, {"n": {"$gt": 1}, "kind": "vitals"})
    assert chosen == (Equality("kind", "vitals"),)


def test_a_document_held_is_routed_whatever_it_becomes() -> None:
    router: Router[str] = Router()
    router.add("q", "c", {"a": "x"})
    router.add("r", "c", {"a": "y"})
    router.hold("q", "d")
    router.hold("q", "d")
    assert routed(router, change("d", {"a": "z"})) == {"q": ["d"]}
    assert routed(router, change("d", None, kind=ChangeKind.DELETE)) == {"q": ["d"]}
    router.hold("r", "d")
    assert routed(router, change("d", None)) == {"q": ["d"], "r": ["d"]}
    router.drop("q", "d")
    router.drop("q", "d")
    assert routed(router, change("d", None)) == {"r": ["d"]}
    router.drop("r", "d")
    assert routed(router, change("d", None)) == {}


def test_the_last_of_several_holders_may_leave_with_all_it_holds() -> None:
    router: Router[str] = Router()
    for item in ("q", "r", "s"):
        router.add(item, "c", {"a": item})
        router.hold(item, "d")
    router.remove("q")
    router.remove("q")
    assert routed(router, change("d", None)) == {"r": ["d"], "s": ["d"]}
    router.remove("r")
    router.remove("s")
    assert routed(router, change("d", None)) == {}


def test_what_is_not_indexed_gets_every_change() -> None:
    router: Router[str] = Router()
    assert router.add("q", "c", {"a": {"$ne": 1}}) is None
    router.hold("q", "d")
    assert routed(router, change("d", None), change("e", {"a": 1})) == {"q": ["d", "e"]}


def test_a_document_is_followed_through_one_batch() -> None:
    router: Router[str] = Router()
    router.add("q", "c", {"a": "x"})
    changes = [change("d", {"a": "x"}), change("e", {"a": "y"}), change("d", {"a": "y"})]
    assert routed(router, *changes) == {"q": ["d", "d"]}


def test_other_collections_are_not_routed() -> None:
    router: Router[str] = Router()
    router.add("q", "c", {})
    assert routed(router, change("d", {}, collection="other")) == {}


def test_the_last_change_of_the_collection_comes_with_the_others() -> None:
    router: Router[str] = Router()
    router.add("q", "c", {"a": "x"})
    changes = [change("d", {"a": "x"}), change("e", {}), change("f", {}, collection="other")]
    ((_, given, last),) = router.route(changes)
    assert (given, last) == ([changes[0]], changes[1])


def test_a_lost_collection_concerns_all_its_queries() -> None:
    router: Router[str] = Router()
    router.add("q", "c", {"a": "x"})
    router.add("r", "c", {"a": "y"}, leaves_matter=True)
    router.add("s", "other", {})
    lost = change(None, None, kind=ChangeKind.COLLECTION_LOST)
    assert routed(router, lost) == {"q": [None], "r": [None]}


def test_who_takes_all_gets_all_until_it_takes_some() -> None:
    router: Router[str] = Router()
    router.add("q", "c", {"a": "x"})
    router.take_all("q")
    assert routed(router, change("d", {}), change("e", {"a": "x"})) == {"q": ["d", "e"]}
    router.take_some("q")
    assert routed(router, change("d", {})) == {}


def test_who_is_not_there_is_left_alone() -> None:
    router: Router[str] = Router()
    router.hold("q", "d")
    router.drop("q", "d")
    router.take_all("q")
    router.take_some("q")
    assert routed(router, change("d", {})) == {}


def test_what_stops_matching_matters_where_said() -> None:
    router: Router[str] = Router()
    router.add("q", "c", {"a": "x"}, leaves_matter=True)
    assert routed(router, change("d", {"a": "y"}, {"a": "x"})) == {"q": ["d"]}
    assert routed(router, change("d", {"a": "x"}, {"a": "y"})) == {"q": ["d"]}
    assert routed(router, change("d", {"a": "y"}, {"a": "z"})) == {}
    assert routed(router, change("d", None)) == {"q": ["d"]}
    assert routed(router, change("d", {"a": "y"}, kind=ChangeKind.INSERT)) == {}


def interest(asked: str, *shown: str) -> Interest:
    return interest_in([asked], Projection(dict.fromkeys(shown, 1)))


def test_an_update_concerns_who_asks_for_its_paths_or_shows_them() -> None:
    router: Router[str] = Router()
    assert not router.is_affected("c", 1, ["ward"])
    router.add("short", "c", {"ward": "w1"}, interest=interest("ward", "bed"))
    router.add("whole", "c", {"room": 1}, interest=interest("room"))
    assert router.is_affected("c", 1, ["text", "ward"])
    assert not router.is_affected("c", 1, ["bed"])
    assert not router.is_affected("d", 1, ["ward"])
    router.hold("short", key_of(1))
    assert router.is_affected("c", 1, ["bed"])
    assert not router.is_affected("c", 1, ["text"])
    assert not router.is_affected("c", 2, ["bed"])
    router.hold("whole", key_of(1))
    assert router.is_affected("c", 1, ["text"])
    router.drop("short", key_of(1))
    router.remove("whole")
    assert not router.is_affected("c", 1, ["bed", "room"])


def test_an_update_concerns_who_takes_every_change() -> None:
    router: Router[str] = Router()
    router.add("some", "c", {"ward": "w1"}, interest=interest("ward"))
    router.take_all("some")
    assert router.is_affected("c", 1, ["bed"])
    router.take_some("some")
    assert not router.is_affected("c", 1, ["bed"])


@pytest.mark.parametrize(
    ("selector", "options"),
    [
        ({"ward": {"$exists": True}}, {"interest": interest("ward", "bed")}),
        ({"ward": 1}, {"interest": interest("ward", "bed"), "leaves_matter": True}),
        ({"ward": 1}, {}),
    ],
)
def test_every_update_concerns_who_holds_what_is_not_known(
    selector: dict[str, Any], options: dict[str, Any]
) -> None:
    router: Router[str] = Router()
    router.add("all", "c", selector, **options)
    assert router.is_affected("c", 1, ["text"])
    router.remove("all")
    assert not router.is_affected("c", 1, ["text"])
