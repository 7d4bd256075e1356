"""What the contract suite of the stores needs beside a store."""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from bolide.core.keys import key_of
from bolide.core.values import Document
from bolide.server.stores.base import (
    Change,
    ChangeBatch,
    ChangeKind,
    Insert,
    Position,
    Query,
    Receipt,
    Store,
    Update,
)

__all__ = ["Follower", "OpenStore", "contents", "follow", "insert", "replay", "update"]


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
