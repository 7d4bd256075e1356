"""Observing without order: random writes, each step answered by the real Meteor."""

from collections.abc import Sequence
from typing import Any

import pytest
from tests.conformance.exceptions import DESIGN_WINS
from tests.conformance.rows import Row, for_each, load, passing

from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.core.errors import BolideError
from bolide.core.values import Document, equals
from bolide.server.livequery.live_queries import LiveQueries
from bolide.server.sessions.view.source import FollowedView
from bolide.server.sessions.view.view_change import ViewChange
from bolide.server.stores.base import Delete, Insert, Query, Update
from bolide.server.stores.memory import MemoryStore
from bolide.server.turn import Turn

ROWS = [row for row in load("fuzz_observe") if not row.raw["ordered"]]


class Replica:
    """What a follower knows, made of what it was told."""

    def __init__(self) -> None:
        self.documents: dict[str, dict[str, Any]] = {}
        self.told = 0

    def view_joined(self, view: FollowedView) -> None:
        self.view_changed(view.initial())

    def view_changed(self, changes: Sequence[ViewChange]) -> None:
        self.told += len(changes)
        for change in changes:
            match change.message:
                case Added(_, id, fields):
                    assert id not in self.documents
                    self.documents[id] = dict(fields)
                case Changed(_, id, fields, cleared):
                    document = {**self.documents[id], **fields}
                    self.documents[id] = {k: v for k, v in document.items() if k not in cleared}
                case Removed(_, id):
                    del self.documents[id]

    def view_failed(self, error: Exception) -> None:
        raise error


def replay(documents: dict[str, dict[str, Any]], callbacks: list[list[Any]]) -> None:
    """Apply Meteor's callbacks to what its own observer knew."""
    for name, id, *rest in callbacks:
        match name:
            case "added":
                documents[id] = {k: v for k, v in rest[0].items() if k != "_id"}
            case "changed":
                fields, cleared = rest
                document = {**documents[id], **fields}
                documents[id] = {k: v for k, v in document.items() if k not in cleared}
            case _:
                del documents[id]


async def write(store: MemoryStore, step: list[Any]) -> None:
    operation, *arguments = step
    match operation:
        case "insert":
            await store.write(Insert(collection="c", documents=[arguments[0]]))
        case "update":
            await store.write(
                Update(
                    collection="c",
                    selector=arguments[0],
                    modifier=arguments[1],
                    many=len(arguments) > 2 and arguments[2]["multi"],
                )
            )
        case "remove":
            await store.write(Delete(collection="c", selector=arguments[0], many=True))
        case _:
            raise AssertionError(operation)


def query_of(row: Row) -> Query:
    options: dict[str, Any] = row["options"]
    sort: dict[str, int] = options.get("sort") or {}
    return Query(
        collection="c",
        selector=row["selector"],
        sort=tuple(sort.items()),
        skip=options.get("skip", 0),
        limit=options.get("limit", 0),
        projection=options.get("projection") or options.get("fields"),
    )


def shown(documents: dict[str, dict[str, Any]]) -> Document:
    return {key: documents[key] for key in sorted(documents)}


async def make_store(row: Row) -> MemoryStore:
    store = MemoryStore()
    await store.open()
    documents: list[Document] = row["docs"]
    if documents:
        await store.write(Insert(collection="c", documents=documents))
    return store


@for_each([row for row in ROWS if "error" not in row["expect"]])
async def test_a_follower_knows_what_meteors_observer_knows(row: Row) -> None:
    store = await make_store(row)
    live_queries = LiveQueries(store, Turn())
    replica = Replica()
    await live_queries.follow(query_of(row), replica)
    meteor: dict[str, dict[str, Any]] = {}
    replay(meteor, row["expect"]["initial"])
    with passing(row):
        assert equals(shown(replica.documents), shown(meteor))
        for step, callbacks in zip(row["steps"], row["expect"]["steps"], strict=True):
            told = replica.told
            await write(store, step)
            await store.feed_reached(store.feed_position)
            await live_queries.idle()
            replay(meteor, callbacks)
            assert equals(shown(replica.documents), shown(meteor))
            assert callbacks or replica.told == told
    live_queries.close()
    await store.close()


@for_each([row for row in ROWS if "error" in row["expect"]])
async def test_what_meteors_observer_refuses_is_refused(row: Row) -> None:
    store = await make_store(row)
    live_queries = LiveQueries(store, Turn())
    with passing(row), pytest.raises(BolideError):
        await live_queries.follow(query_of(row), Replica())
    live_queries.close()
    await store.close()


@pytest.mark.parametrize("row", [row for row in ROWS if row.key in DESIGN_WINS], ids=str)
async def test_a_window_without_order_is_what_find_returns(row: Row) -> None:
    store = await make_store(row)
    live_queries = LiveQueries(store, Turn())
    replica = Replica()
    await live_queries.follow(query_of(row), replica)
    for step in [None, *row["steps"]]:
        if step is not None:
            await write(store, step)
        await store.feed_reached(store.feed_position)
        await live_queries.idle()
        found = (await store.read(query_of(row))).documents
        expected = {d["_id"]: {k: v for k, v in d.items() if k != "_id"} for d in found}
        assert equals(shown(replica.documents), shown(expected))
    live_queries.close()
    await store.close()
