"""What a change costs with many live queries: 10,000 against 100, and against asking all of them.

Both sets have the same queries that match; the rest ask for other wards. The rounds are
interleaved, and the figures are the medians of ratios within one round. Run it with
``python bench/live_queries.py``; times depend on the machine, the ratios should not.
"""

import asyncio
import gc
from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import Any

from bolide.core.minimongo.matcher import Matcher
from bolide.server.limits import Limits
from bolide.server.livequery.live_queries import LiveQueries
from bolide.server.livequery.routing.router import Router
from bolide.server.sessions.view.source import FollowedView
from bolide.server.sessions.view.view_change import ViewChange
from bolide.server.stores.base import Change, ChangeBatch, ChangeKind, Query
from bolide.server.stores.memory import MemoryStore
from bolide.server.turn import Turn

MANY, FEW, MATCHING = 10_000, 100, 4
ROUNDS, CHANGES = 15, 200
GOAL_MANY, GOAL_NAIVE = 1.5, 0.01
# A busy machine must not end a query, nor put one off to a turn that does not come here.
UNHURRIED = Limits(live_query_turn_ms=60_000, live_query_excess_ms=60_000)


class Listener:
    """A follower that only counts."""

    def __init__(self) -> None:
        """Begin at zero."""
        self.changes = 0

    def view_changed(self, changes: Sequence[ViewChange]) -> None:
        """Count them."""
        self.changes += len(changes)

    def view_joined(self, view: FollowedView) -> None:
        """Take the first documents; they are not measured."""

    def view_failed(self, error: Exception) -> None:
        """Stop the measurement."""
        raise error


class AtOnce(Turn):
    """Tells followers at once instead of at the end of the turn, so that it is measured."""

    def deliver_later(self, deliver: Callable[[], object]) -> None:
        """Deliver now."""
        deliver()


def selectors(count: int) -> list[dict[str, Any]]:
    """Return as many selectors of four kinds; the first ones match what :func:`document` makes."""
    matching: list[dict[str, Any]] = [
        {"ward": "w0"},
        {"ward": "w0", "kind": "vitals"},
        {"patient": {"$in": ["p0", "p-1"]}},
        {"score": {"$gt": 90, "$lte": 91}},
    ]
    others = [_other(number) for number in range(1, count - MATCHING + 1)]
    return matching + others


def _other(number: int) -> dict[str, Any]:
    match number % 4:
        case 0:
            return {"ward": f"w{number}"}
        case 1:
            return {"ward": f"w{number}", "kind": "vitals"}
        case 2:
            return {"patient": {"$in": [f"p{number}", f"p{-number}"]}}
        case _:
            return {"score": {"$gt": 100 + number, "$lte": 101 + number}}


def document(number: int) -> dict[str, Any]:
    """Return a document of 12 fields that differs from the one before in one of them."""
    return {
        "_id": "d0",
        "ward": "w0",
        "kind": "vitals",
        "patient": "p0",
        "score": 90.5,
        "pulse": number,
        **{f"field{index}": f"value {index}" for index in range(6)},
    }


async def make(count: int) -> tuple[LiveQueries, MemoryStore, Listener]:
    """Follow as many queries."""
    store = MemoryStore()
    await store.open()
    live, listener = LiveQueries(store, AtOnce(), limits=UNHURRIED), Listener()
    for selector in selectors(count):
        await live.follow(Query(collection="c", selector=selector), listener)
    return live, store, listener


def routed(live: LiveQueries, listener: Listener) -> Callable[[], float]:
    """Return what measures the cost of one change, seconds."""
    position = 0

    def measure() -> float:
        nonlocal position
        batches: list[ChangeBatch] = []
        before = document(position)
        for _ in range(CHANGES):
            position += 1
            after = document(position)
            change = Change(position, "c", "d0", ChangeKind.UPDATE, before, after)
            batches.append(ChangeBatch(position, [change]))
            before = after
        told = listener.changes
        started = perf_counter()
        for batch in batches:
            live.changes_received(batch)
        took = perf_counter() - started
        assert listener.changes - told == MATCHING * CHANGES
        return took / CHANGES

    return measure


def naive(count: int) -> Callable[[], float]:
    """Return what measures asking every compiled selector about one document, seconds."""
    tests = [Matcher(selector).matches for selector in selectors(count)]

    def measure() -> float:
        asked = document(0)
        started = perf_counter()
        found = sum([test(asked) for test in tests])
        took = perf_counter() - started
        assert found == MATCHING
        return took

    return measure


def found(count: int) -> Callable[[], float]:
    """Return what measures finding the queries alone, seconds."""
    router: Router[int] = Router()
    for number, selector in enumerate(selectors(count)):
        router.add(number, "c", selector)
    batch = [Change(1, "c", "d0", ChangeKind.UPDATE, document(0), document(1))]

    def measure() -> float:
        started = perf_counter()
        for _ in range(CHANGES):
            for _ in router.route(batch):
                pass
        took = perf_counter() - started
        assert len(list(router.route(batch))) == MATCHING
        return took / CHANGES

    return measure


async def main() -> None:
    """Measure and print."""
    few, few_store, few_listener = await make(FEW)
    many, many_store, many_listener = await make(MANY)
    of_few, of_many = routed(few, few_listener), routed(many, many_listener)
    of_all, of_finding = naive(MANY), found(MANY)
    gc.collect()
    gc.freeze()
    for warm_up in (of_few, of_many, of_finding):
        warm_up()  # the ranges are indexed in it
    rows = [(of_few(), of_many(), of_all(), of_finding()) for _ in range(ROUNDS)]
    print(f"a change that {MATCHING} queries tell of, median of {ROUNDS} interleaved rounds")
    print(f"  {FEW} queries: {median(row[0] for row in rows) * 1e6:.1f} us")
    print(f"  {MANY} queries: {median(row[1] for row in rows) * 1e6:.1f} us")
    print(f"  {MANY} selectors asked in turn: {median(row[2] for row in rows) * 1e6:.0f} us")
    print(f"  finding them among {MANY}: {median(row[3] for row in rows) * 1e6:.1f} us")
    growth = median(row[1] / row[0] for row in rows)
    share = median(row[1] / row[2] for row in rows)
    print(f"  {MANY} / {FEW}: {growth:.2f} x (goal: at most {GOAL_MANY})")
    print(f"  {MANY} / asked in turn: 1/{1 / share:.0f} (goal: at most 1/{1 / GOAL_NAIVE:.0f})")
    finding = median(row[3] / row[2] for row in rows)
    print(f"  finding them / asked in turn: 1/{1 / finding:.0f}")
    for live, store in ((few, few_store), (many, many_store)):
        live.close()
        await store.close()


if __name__ == "__main__":
    asyncio.run(main())
