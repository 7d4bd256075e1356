from typing import Any

import pytest

from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher
from bolide.server.livequery.result import MAX_HELD_SKIP, QueryResult, make_result
from bolide.server.livequery.routing.router import Router
from bolide.server.stores.base import Change, ChangeKind, Query


def result_of(**options: Any) -> QueryResult:
    query = Query(collection="c", **options)
    return make_result(query, Matcher(query.selector))[0]


def put(id: str, before: dict[str, Any] | None = None, **fields: Any) -> Change:
    kind = ChangeKind.INSERT if before is None else ChangeKind.UPDATE
    return Change(1, "c", id, kind, before, {"_id": id, **fields})


def deleted(id: str, before: dict[str, Any] | None = None) -> Change:
    return Change(1, "c", id, ChangeKind.DELETE, before, None)


def told(result: QueryResult) -> list[str]:
    texts: list[str] = []
    for change in result.flush():
        match change.message:
            case Added(_, id, _):
                texts.append(f"+{id}")
            case Changed(_, id, _, _):
                texts.append(f"*{id}")
            case Removed(_, id):
                texts.append(f"-{id}")
    return texts


@pytest.mark.parametrize(
    ("options", "kind", "is_requeried"),
    [
        ({}, "MatchedResult", False),
        ({"sort": (("n", 1),)}, "MatchedResult", False),
        ({"sort": (("n", 1),), "limit": 2}, "WindowResult", False),
        ({"sort": (("n", 1),), "skip": MAX_HELD_SKIP}, "WindowResult", False),
        ({"sort": (("n", 1),), "skip": MAX_HELD_SKIP + 1}, "RequeriedResult", True),
        ({"limit": 2}, "RequeriedResult", True),
        ({"skip": 2}, "RequeriedResult", True),
        ({"selector": {"at": {"$near": [0, 0]}}}, "RequeriedResult", True),
    ],
)
def test_the_kind_follows_from_the_query(
    options: dict[str, Any], kind: str, is_requeried: bool
) -> None:
    result = result_of(**options)
    assert type(result).__name__ == kind
    assert result.is_requeried == is_requeried


@pytest.mark.parametrize("options", [{}, {"sort": (("n", 1),), "limit": 2}, {"limit": 2}])
def test_the_id_is_always_shown(options: dict[str, Any]) -> None:
    with pytest.raises(MinimongoError, match="_id"):
        result_of(projection={"_id": 0}, **options)


def test_what_matches_is_told_as_a_net_difference() -> None:
    result = result_of(selector={"w": 1})
    assert all(map(result.take, [put("a", w=1), put("b", w=1), put("c", w=2)]))
    assert told(result) == ["+a", "+b"]
    assert result.held_count == 2
    changes = [put("a", {}, w=1, x=1), put("a", {}, w=1), put("b", {}, w=2), put("d", w=1)]
    assert all(map(result.take, [*changes, deleted("d")]))
    assert told(result) == ["-b"]
    assert list(result.entries) == ["a"]


def test_a_reading_replaces_what_was_known_and_told() -> None:
    result = result_of()
    result.load([{"_id": "a"}, {"_id": "b", "n": 1}])
    assert told(result) == ["+a", "+b"]
    result.take(put("x"))
    result.load([{"_id": "b", "n": 2}, {"_id": "c"}])
    assert told(result) == ["-a", "*b", "+c"]


def test_a_window_reads_whole_documents_from_the_first_on() -> None:
    result = result_of(sort=(("n", 1),), skip=3, limit=20, projection={"x": 1})
    reading = result.reading
    assert (reading.skip, reading.limit, reading.projection) == (0, 43, None)
    assert result_of(sort=(("n", 1),), limit=1).reading.limit == 11
    assert result_of(sort=(("n", 1),), limit=900).reading.limit == 1100
    assert result_of(sort=(("n", 1),), skip=3).reading.limit == 0
    assert result_of(limit=2).reading.limit == 2


def test_a_window_tells_first_what_left() -> None:
    result = result_of(sort=(("n", 1),), limit=2)
    result.load([{"_id": "a", "n": 1}, {"_id": "b", "n": 2}, {"_id": "c", "n": 3}])
    assert told(result) == ["+a", "+b"]
    assert result.held_count == 3
    assert result.take(put("x", n=0))
    assert told(result) == ["-b", "+x"]
    assert result.take(put("c", {}, n=3, x=1))
    assert result.take(deleted("unknown"))
    assert told(result) == []


def test_a_window_says_when_its_buffer_is_empty() -> None:
    result = result_of(sort=(("n", 1),), limit=1)
    result.load([{"_id": str(n), "n": n} for n in range(11)])
    assert all(result.take(deleted(str(n))) for n in range(10))
    assert not result.take(deleted("10"))


def test_only_what_touches_it_makes_a_reading_necessary() -> None:
    result = result_of(selector={"w": 1}, limit=1)
    result.load([{"_id": "a", "w": 1}])
    assert told(result) == ["+a"]
    assert result.take(put("b", w=2))
    assert result.take(put("b", {"_id": "b", "w": 3}, w=2))
    assert not result.take(put("b", w=1))
    assert not result.take(put("b", {"_id": "b", "w": 1}, w=2))
    assert not result.take(put("a", {"_id": "a", "w": 2}, w=2))
    assert not result.take(deleted("unknown"))
    assert result.take(deleted("b", {"_id": "b", "w": 2}))


def test_a_router_knows_what_is_held() -> None:
    router: Router[str] = Router()
    window = result_of(selector={"w": 1}, sort=(("n", 1),), limit=1)
    router.add("window", "c", {"w": 1})
    window.be_routed(router, "window")
    window.load([{"_id": id, "w": 1, "n": 1} for id in "abc"])
    window.flush()
    assert [item for item, _, _ in router.route([deleted("c")])] == ["window"]
    window.take(deleted("c"))
    window.flush()
    assert list(router.route([deleted("c")])) == []
