"""Advice on indexes: asked for once for a shape, in the background, and without any value."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from bolide.server.livequery.advice.index_advice import (
    AGAIN_AFTER_S,
    MANY_EXAMINED,
    MAX_SHAPES,
    IndexAdvice,
    wanted_index,
)
from bolide.server.stores.base import AccessFilter, Query
from bolide.server.stores.memory import MemoryStore
from bolide.server.testing import FakeClock


class Explaining(MemoryStore):
    """A store that says what it is told to say of a query."""

    def __init__(self, *answers: int | Exception | None) -> None:
        super().__init__()
        self.answers = [*answers]
        self.asked: list[Query] = []

    async def examined(self, query: Query) -> int | None:
        self.asked.append(query)
        await asyncio.sleep(0)
        answer = self.answers.pop(0) if self.answers else 10**6
        if isinstance(answer, Exception):
            raise answer
        return answer


def patients(ward: str = "secret", **options: Any) -> Query:
    return Query(collection="patients", selector={"ward": ward}, **options)


@pytest.mark.parametrize(
    ("selector", "sort", "keys"),
    [
        ({"ward": 1}, (), [("ward", 1)]),
        ({"n": {"$gt": 1}, "ward": "a", "$and": [{"open": {"$in": [1, 2]}}]}, (("at", -1),),
         [("ward", 1), ("open", 1), ("at", -1), ("n", 1)]),
        ({"ward": 1}, (("ward", -1), ("bed", 1)), [("ward", 1), ("bed", 1)]),
        ({"a.b": 1}, (), [("a.b", 1)]),
        ({}, (("at", 1),), [("at", 1)]),
        ({"$or": [{"a": 1}, {"b": 1}]}, (), []),
        ({"name": {"$exists": True}}, (), []),
        ({"_id": "x", "ward": 1}, (), []),
        # A path that may hold data, and what stands after it.
        ({"ward": 1, "seen.p-123": 1, "bed": 1}, (), [("ward", 1)]),
    ],
)  # fmt: skip
def test_the_index_that_would_help(selector: Any, sort: Any, keys: Any) -> None:
    query = Query(collection="c", selector=selector, sort=sort)
    assert wanted_index(query, sorts=True) == tuple(keys)


def test_the_access_scope_is_part_of_the_index() -> None:
    access = AccessFilter("ward", frozenset({"a"}))
    query = Query(collection="c", selector={"bed": 1}, access=access)
    assert {path for path, _ in wanted_index(query, sorts=True)} == {"ward", "bed"}


def test_a_store_that_does_not_sort_by_indexes_is_advised_none_for_it() -> None:
    query = Query(collection="c", selector={}, sort=(("at", 1),))
    assert wanted_index(query, sorts=False) == ()


@pytest.mark.parametrize(
    ("examined", "found", "is_advised"),
    [
        (MANY_EXAMINED + 1, 0, True),
        (MANY_EXAMINED + 1, 100, True),
        (MANY_EXAMINED + 1, 101, False),
        (MANY_EXAMINED, 0, False),
        (None, 0, False),
    ],
)
async def test_only_what_looks_at_much_more_than_it_finds(
    examined: int | None, found: int, is_advised: bool
) -> None:
    advice = IndexAdvice(Explaining(examined), FakeClock())
    advice.consider(patients(), found)
    assert advice.on(patients()) is None
    await advice.idle()
    assert (advice.on(patients("other")) is not None) == is_advised
    assert advice.on(patients(limit=1)) is None


async def test_the_advice_is_a_line_with_the_ready_command_and_no_value() -> None:
    advice = IndexAdvice(Explaining(), FakeClock())
    with capture_logs() as logs:
        advice.consider(patients(), 3)
        advice.consider(Query(collection="my-data", selector={"a": {"$exists": False}}), 3)
        await advice.idle()
    [log, other] = logs
    assert log["log_level"] == "warning"
    assert log["selector"] == "{ward: ?}"
    assert log["in_the_app"] == 'patients.create_index([("ward", 1)])'
    assert log["in_mongosh"] == 'db.getCollection("patients").createIndex({"ward": 1})'
    assert str(advice.on(patients())).startswith("looks at 1000000 documents to find 3: patients.")
    assert other["in_the_app"] == other["in_mongosh"] == ""
    assert "secret" not in repr(logs)
    hyphened = Query(collection="my-data", selector={"a": 1})
    advice.consider(hyphened, 3)
    await advice.idle()
    assert "collection.create_index" in str(advice.on(hyphened))
    assert "no index can be named" in str(
        advice.on(Query(collection="my-data", selector={"a": {"$exists": False}}))
    )


async def test_a_shape_is_looked_into_once_in_a_while() -> None:
    clock, store = FakeClock(), Explaining(10**6, 10**6, 10)
    advice = IndexAdvice(store, clock)
    with capture_logs() as logs:
        for _ in range(3):
            advice.consider(patients(), 0)
            await advice.idle()
        assert len(store.asked) == 1
        await clock.advance(AGAIN_AFTER_S)
        advice.consider(patients("other"), 0)
        await advice.idle()
        assert advice.on(patients()) is not None
        await clock.advance(AGAIN_AFTER_S)
        advice.consider(patients(), 0)
        await advice.idle()
    assert len(store.asked) == 3
    assert advice.on(patients()) is None  # somebody made the index
    assert len(logs) == 1


async def test_one_query_is_explained_at_a_time_and_no_more_shapes_than_there_may_be() -> None:
    store = Explaining(OSError("away"))
    advice = IndexAdvice(store, FakeClock())
    for number in range(MAX_SHAPES + 5):
        selector = {"".join(chr(97 + int(digit)) for digit in str(number)): 1}
        advice.consider(Query(collection="c", selector=selector), 0)
    await asyncio.sleep(0)
    assert len(store.asked) == 1
    await advice.idle()
    assert len(store.asked) == MAX_SHAPES  # the failure of the first ended nothing


async def test_what_waits_at_the_end_is_not_looked_into() -> None:
    store = Explaining()
    advice = IndexAdvice(store, FakeClock())
    advice.close()
    advice.consider(patients(), 0)
    advice.consider(patients(limit=1), 0)
    await asyncio.sleep(0)
    advice.close()
    await advice.idle()
    assert len(store.asked) == 1
    assert advice.on(patients()) is None


async def test_a_store_that_cannot_explain_is_not_asked() -> None:
    store: Any = object()
    advice = IndexAdvice(store, FakeClock())
    advice.consider(patients(), 0)
    await advice.idle()
    assert advice.on(patients()) is None
