"""Advice on indexes: live queries for which the store looks at far more than it finds.

When a live query of a new shape has its first documents, the store is asked once, in the
background, how many it looked at. Shapes hold no values, so neither does the advice.
"""

import asyncio
from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from json import dumps
from typing import Any, Final, TypeAlias

import structlog

from bolide.core.minimongo.predicates import Range, conjuncts
from bolide.server.clock import Clock
from bolide.server.livequery.advice.shape import path_shape, shape_of, sort_shape
from bolide.server.logging.log import describe_failure
from bolide.server.stores.access import effective_selector
from bolide.server.stores.base import Query, Store
from bolide.server.stores.explaining import Explainer

__all__ = [
    "AGAIN_AFTER_S",
    "MANY_EXAMINED",
    "MAX_SHAPES",
    "TIMES_FOUND",
    "Advice",
    "IndexAdvice",
    "wanted_index",
]

MANY_EXAMINED: Final = 1_000
"""Documents that may be looked at without a word."""

TIMES_FOUND: Final = 10
"""How many times more than are found."""

MAX_SHAPES: Final = 200
"""Most shapes of queries that are looked into."""

AGAIN_AFTER_S: Final = 600.0
"""When a shape is looked into again at the earliest, if a query of it starts, seconds."""

_Keys: TypeAlias = tuple[tuple[str, int], ...]
_Shape: TypeAlias = tuple[str, str, str, bool]


@dataclass(frozen=True, slots=True)
class Advice:
    """What would help a shape of queries.

    Attributes:
        collection: Name of the collection.
        examined: Documents that the store looked at.
        found: Documents that it found.
        keys: The index that would help; empty: none can be named.
    """

    collection: str
    examined: int
    found: int
    keys: _Keys

    @property
    def python(self) -> str:
        """The call that makes the index, in an app."""
        name = self.collection if self.collection.isidentifier() else "collection"
        pairs = ", ".join(f"({dumps(path)}, {direction})" for path, direction in self.keys)
        return f"{name}.create_index([{pairs}])" if pairs else ""

    @property
    def mongosh(self) -> str:
        """The command that makes it, in mongosh."""
        if not self.keys:
            return ""
        return f"db.getCollection({dumps(self.collection)}).createIndex({dumps(dict(self.keys))})"

    def __str__(self) -> str:
        """Say it in one line."""
        remedy = self.python or "no index can be named: give the selector an equality"
        return f"looks at {self.examined} documents to find {self.found}: {remedy}"


class IndexAdvice:
    """The advice on all live queries of a node.

    Args:
        store: Who is asked; one that is no :class:`Explainer` never is.
        clock: Tells when a shape may be looked into again.
    """

    def __init__(self, store: Store, clock: Clock) -> None:
        """Know nothing yet."""
        self._explainer = store if isinstance(store, Explainer) else None
        self._clock = clock
        self._looked_at: dict[_Shape, float] = {}
        self._advice: dict[_Shape, Advice] = {}
        self._told: set[_Shape] = set()
        self._waiting: deque[tuple[_Shape, Query, int]] = deque()
        self._asking: asyncio.Task[None] | None = None
        self._log = structlog.get_logger("bolide.livequery")

    def consider(self, query: Query, found: int) -> None:
        """Look into a query that was just read, if nobody looked into one of its shape lately.

        Args:
            query: As it was read.
            found: How many documents were found.
        """
        if self._explainer is None:
            return
        shape, now = _shape_of(query), self._clock.now()
        last = self._looked_at.get(shape)
        if last is None and len(self._looked_at) >= MAX_SHAPES:
            return
        if last is not None and now - last < AGAIN_AFTER_S:
            return
        self._looked_at[shape] = now
        self._waiting.append((shape, query, found))
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask(self._explainer))

    def on(self, query: Query) -> Advice | None:
        """Return the advice on a query; None if there is none."""
        return self._advice.get(_shape_of(query)) if self._advice else None

    async def idle(self) -> None:
        """Wait until nothing is looked into."""
        while self._asking is not None and not self._asking.done():
            await asyncio.wait([self._asking])

    def close(self) -> None:
        """Look into nothing more."""
        self._waiting.clear()
        if self._asking is not None:
            self._asking.cancel()

    async def _ask(self, explainer: Explainer) -> None:
        """Ask about one query after the other."""
        while self._waiting:
            shape, query, found = self._waiting.popleft()
            keys = wanted_index(query, sorts=explainer.sorts_by_index)
            try:
                examined = await explainer.examined(query)
            except Exception as error:  # it is advice, no more
                self._log.debug("a live query was not explained", **describe_failure(error))
                continue
            if examined is None:
                continue
            self._advice.pop(shape, None)
            if examined > MANY_EXAMINED and examined >= TIMES_FOUND * max(found, 1):
                self._advise(shape, Advice(query.collection, examined, found, keys))

    def _advise(self, shape: _Shape, advice: Advice) -> None:
        self._advice[shape] = advice
        if shape in self._told:
            return
        self._told.add(shape)
        self._log.warning(
            "a live query looks at many documents: an index would help",
            collection=advice.collection, selector=shape[1], sort=shape[2],
            examined=advice.examined, found=advice.found,
            in_the_app=advice.python, in_mongosh=advice.mongosh,
        )  # fmt: skip


def wanted_index(query: Query, *, sorts: bool) -> _Keys:
    """Return the index that would help most: equalities, then the order, then inequalities.

    Paths that may hold data are left out, and so is what follows them.

    Args:
        query: Any.
        sorts: An index helps with an order.
    """
    equalities: dict[str, int] = {}
    ranges: dict[str, int] = {}
    selector: Mapping[str, Any] = effective_selector(query)
    for conjunct in conjuncts(selector):
        paths = {predicate.path for predicate in conjunct}
        if len(paths) == 1:
            has_range = any(isinstance(predicate, Range) for predicate in conjunct)
            (ranges if has_range else equalities).setdefault(paths.pop(), 1)
    order = dict(query.sort) if sorts else {}
    keys: dict[str, int] = {}
    for path, direction in (*equalities.items(), *order.items(), *ranges.items()):
        if path_shape(path) != path:
            break
        keys.setdefault(path, direction)
    return () if "_id" in list(keys)[:1] else tuple(keys.items())


def _shape_of(query: Query) -> _Shape:
    sort: Sequence[tuple[str, int]] = query.sort
    shape = shape_of(effective_selector(query))
    return (query.collection, shape, sort_shape(sort), query.limit > 0)
