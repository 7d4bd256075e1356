"""A memory store that evaluates what minimongo does not, in the hands of a test."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from bolide.core.values import Document
from bolide.server.stores.access import effective_selector
from bolide.server.stores.base import Position, Query, Snapshot
from bolide.server.stores.evaluation import Aggregation, CollectionKind, Origin
from bolide.server.stores.memory import MemoryStore

__all__ = ["EvaluatingStore"]


class EvaluatingStore(MemoryStore):
    """A memory store that evaluates ``{"$where": "n > 3"}``, and adds up ``n`` of collections.

    Attributes:
        polls: ``after`` of each evaluation.
        origins: What is told of collections.
        foreign: Documents of a collection that the feed does not tell of.
        error: What evaluations raise instead of answering.
        gate: They answer while it is open.
    """

    def __init__(self) -> None:
        super().__init__()
        self.polls: list[Position | None] = []
        self.origins: dict[str, Origin] = {}
        self.foreign: list[Document] = []
        self.error: Exception | None = None
        self.rows: Callable[[list[Document]], list[Document]] = _ward_sums
        self.gate = asyncio.Event()
        self.gate.set()

    async def origin(self, collection: str) -> Origin:
        plain = Origin(CollectionKind.COLLECTION, frozenset({collection}), True)
        return self.origins.get(collection, plain)

    async def evaluate(self, query: Query, *, after: Position | None = None) -> Snapshot:
        self.polls.append(after)
        snapshot = await self._evaluated(query)
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        return snapshot

    async def _evaluated(self, query: Query) -> Snapshot:
        if query.collection == "foreign":
            position = (await self.read(Query(collection="c"))).position
            return Snapshot(position, self.foreign)
        if isinstance(query, Aggregation):
            whole = Query(collection=query.collection, access=query.access)
            snapshot = await self.read(whole)
            found = list(snapshot.documents)
            for name in query.joined:
                found += (await self.read(Query(collection=name))).documents
            return replace(snapshot, documents=self.rows(found)[: query.pipeline[-1]["$limit"]])
        selector = dict(effective_selector(query))
        if selector.pop("$where", None):
            selector = {"$and": [selector, {"n": {"$gt": 3}}]}
        return await self.read(replace(query, selector=selector, access=None))


def _ward_sums(documents: list[Document]) -> list[Document]:
    sums: dict[Any, int] = {}
    for document in documents:
        sums[document["ward"]] = sums.get(document["ward"], 0) + document["n"]
    return [{"_id": ward, "sum": sum} for ward, sum in sums.items()]
