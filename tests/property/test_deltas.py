"""Updates of every shape on a real MongoDB: what its events say, applied, is what it stored."""

import asyncio
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import AsyncMongoClient
from pymongo.errors import WriteError

from bolide.server.stores.mongo.feed.delta import applied

NAMES = st.sampled_from(["a", "b", "c", "0", "1"])
LEAVES = st.one_of(st.integers(0, 3), st.sampled_from(["x", None, True]))
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=3)),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(NAMES, VALUES, max_size=4)
PATHS = st.lists(NAMES, min_size=1, max_size=3).map(".".join)
MODIFIERS: st.SearchStrategy[Any] = st.one_of(
    st.tuples(st.just("$set"), st.dictionaries(PATHS, VALUES, min_size=1, max_size=2)),
    st.tuples(st.just("$unset"), st.dictionaries(PATHS, st.just(1), min_size=1, max_size=2)),
    st.tuples(st.just("$inc"), st.dictionaries(PATHS, st.integers(1, 3), min_size=1, max_size=1)),
    st.tuples(st.just("$push"), st.dictionaries(PATHS, VALUES, min_size=1, max_size=1)),
    st.tuples(st.just("$pull"), st.dictionaries(PATHS, LEAVES, min_size=1, max_size=1)),
    st.tuples(st.just("$pop"), st.dictionaries(PATHS, st.just(1), min_size=1, max_size=1)),
    st.tuples(st.just("$rename"), st.dictionaries(PATHS, PATHS, min_size=1, max_size=1)),
).map(lambda modifier: {modifier[0]: modifier[1]})
# A pipeline may turn anything into anything; a name with a dot is only made in this way.
PIPELINES = VALUES.map(
    lambda value: [
        {"$replaceWith": {"$setField": {"field": "d.e", "input": "$$ROOT", "value": 1}}},
        {"$set": {"f": {"$literal": value}}},
    ]
)
UPDATES = st.lists(st.one_of(MODIFIERS, MODIFIERS, PIPELINES), min_size=1, max_size=6)


def test_what_an_event_says_makes_what_is_stored(new_database: Callable[[], str]) -> None:
    url, doubts, known = new_database(), 0, 0

    @settings(
        max_examples=60,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(DOCUMENTS, UPDATES)
    def check(document: dict[str, Any], updates: list[Any]) -> None:
        nonlocal doubts, known
        for is_known in asyncio.run(compare(url, document, updates)):
            known += is_known
            doubts += not is_known

    check()
    assert known > 10 * doubts


async def compare(url: str, document: dict[str, Any], updates: list[Any]) -> list[bool]:
    """Tell for each update whether its event left no doubt."""
    told: list[bool] = []
    async with AsyncMongoClient[dict[str, Any]](url) as client:
        collection = client.get_default_database()["things"]
        await collection.delete_many({})
        async with await collection.watch([{"$match": {"operationType": "update"}}]) as stream:
            await collection.insert_one({"_id": 1, **document})
            before = await collection.find_one({})
            for update in updates:
                try:
                    done = await collection.update_one({"_id": 1}, update)
                except WriteError:
                    continue
                if not done.modified_count:
                    continue
                event = await stream.next()
                stored = await collection.find_one({})
                assert before is not None
                after = applied(before, event["updateDescription"])
                if after is not None:
                    assert _plain(after) == _plain(stored), (before, update, event)
                told.append(after is not None)
                before = stored
    return told


def _plain(document: Any) -> str:
    """Write a document so that 1 and True differ; its own fields in any order."""
    fields: dict[str, Any] = document
    return repr(sorted(fields.items()))
