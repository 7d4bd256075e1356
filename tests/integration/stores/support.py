"""What the contract suite of the stores needs beside a store."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import pytest
from pymongo.errors import DuplicateKeyError
from tests.turns import yield_once

from bolide.core.keys import key_of
from bolide.core.values import Document
from bolide.server.stores.base import (
    Change,
    ChangeBatch,
    ChangeKind,
    Delete,
    FindAndModify,
    Insert,
    Position,
    Query,
    Receipt,
    Store,
    TransactionConflict,
    Update,
    WriteOperation,
)

__all__ = [
    "EMBEDDED",
    "Follower",
    "OpenStore",
    "contents",
    "follow",
    "insert",
    "replay",
    "update",
    "write_at_random",
]


EMBEDDED = pytest.mark.parametrize("open_store", ["memory", "sqlite"], indirect=True)
"""For tests of what only stores in this process promise."""


class OpenStore(Protocol):
    """Opens another store; what it is given depends on the kind of store."""

    async def __call__(self, **options: Any) -> Store: ...


class Follower:
    """A listener that keeps all it hears.

    Attributes:
        batches: Batches that had changes.
        positions: Position of each batch and loss.
        losses: How often history was lost.
    """

    def __init__(self) -> None:
        self.batches: list[Sequence[Change]] = []
        self.positions: list[Position] = []
        self.losses = 0

    def changes_received(self, batch: ChangeBatch) -> None:
        self.positions.append(batch.position)
        if batch.changes:
            self.batches.append(batch.changes)

    def history_lost(self, position: Position) -> None:
        self.positions.append(position)
        self.losses += 1

    @property
    def changes(self) -> list[Change]:
        return [change for batch in self.batches for change in batch]

    @property
    def told(self) -> list[tuple[ChangeKind, Any, Document | None]]:
        """What happened, to which id, and the document after it."""
        return [(change.kind, change.id, change.after) for change in self.changes]


async def follow(store: Store) -> Follower:
    """Listen to what is written from now on."""
    now = await store.read(Query(collection="beds"))
    await store.feed_reached(now.position)
    follower = Follower()
    store.listen(follower)
    return follower


async def insert(store: Store, *documents: Document, collection: str = "beds") -> Receipt:
    return await store.write(Insert(collection=collection, documents=documents))


async def update(
    store: Store, selector: Mapping[str, Any], modifier: Mapping[str, Any], **options: Any
) -> Receipt:
    return await store.write(
        Update(collection="beds", selector=selector, modifier=modifier, **options)
    )


async def contents(store: Store, collection: str = "beds", **query: Any) -> list[Document]:
    """Return the documents of a collection by ``_id``, or what a query finds."""
    query.setdefault("sort", (("_id", 1),))
    return list((await store.read(Query(collection=collection, **query))).documents)


def replay(
    documents: Sequence[Document], changes: Sequence[Change], after: Position, collection: str
) -> dict[Any, Document]:
    """Apply the changes of a collection after a position to a snapshot of that position."""
    result = {key_of(document["_id"]): document for document in documents}
    for change in changes:
        if change.collection != collection or change.position <= after:
            continue
        if change.kind is ChangeKind.COLLECTION_LOST:
            result.clear()
        elif change.after is None:
            del result[key_of(change.id)]
        else:
            result[key_of(change.id)] = change.after
    return result


def random_operation(source: random.Random) -> WriteOperation:
    id = source.randrange(8)
    one: dict[str, Any] = {"collection": "beds", "selector": {"_id": id}}
    operations: list[WriteOperation] = [
        Insert(collection="beds", documents=[{"_id": id, "n": 0}]),
        Update(**one, modifier={"$inc": {"n": 1}}),
        Update(**one, modifier={"$set": {"n": source.randrange(3)}}, upsert=True),
        Update(**one, modifier={"m": source.randrange(3)}),
        Update(collection="beds", selector={}, modifier={"$inc": {"k": 1}}, many=True),
        Delete(**one),
        FindAndModify(**one, modifier={"$set": {"f": source.random()}}, upsert=True),
    ]
    return source.choice(operations)


async def write_at_random(store: Store, source: random.Random, count: int) -> None:
    for _ in range(count):
        # Not every store lets others run while it writes.
        await yield_once()
        operation = random_operation(source)
        try:
            if source.random() < 0.2:
                async with store.transaction() as transaction:
                    await transaction.write(operation)
                    await transaction.write(random_operation(source))
            else:
                await store.write(operation)
        except (DuplicateKeyError, TransactionConflict):
            continue
