"""What is true: the queries, what a write does, and every state the database has been in."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from bolide.core.keys import Key, key_of
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.projection import Projection
from bolide.core.minimongo.query import run_query
from bolide.core.minimongo.sorter import Sorter
from bolide.core.values import Document
from bolide.server.stores.base import (
    Change,
    ChangeKind,
    Delete,
    FindAndModify,
    Insert,
    Query,
    Update,
    WriteOperation,
)
from bolide.server.stores.own_collections import CALLS

__all__ = [
    "BEDS",
    "COUNTED",
    "IDS",
    "JOINS",
    "MANUAL",
    "NAMES",
    "NOTES",
    "PLAIN",
    "PUBLICATIONS",
    "SIDES",
    "THINGS",
    "USERS",
    "WARDS",
    "History",
    "Join",
    "View",
    "Work",
    "merged",
    "shown",
    "work_of",
]

View: TypeAlias = dict[Key, Document]
"""The documents of one collection, by the key of their ``_id``."""

THINGS, SIDES, PLAIN = "things", "sides", "plain"
NOTES = "notes"
"""What the children of joins are looked for in; merged, as the things are."""

BEDS = "beds"
"""A collection with access scopes, which are wards; the publication has the same name."""

IDS = ("a", "b", "c", "d", "e")
USERS = ("ann", "bob")
WARDS = ("w1", "w2")

MANUAL = "manual"
"""The publication that drives ``ctx.added`` itself."""

_OF_USER = "mine"


def _things(selector: Mapping[str, Any], **options: Any) -> tuple[Query, ...]:
    return (Query(collection=THINGS, selector=selector, **options),)


PUBLICATIONS: Mapping[str, tuple[Query, ...]] = {
    "all": _things({}),
    "some": _things({"n": {"$gte": 2}}),
    "one": _things({"n": 1}),
    "picked": _things({"_id": {"$in": ["a", "b"]}}),
    "tagged": _things({"tags": 1}),
    "either": _things({"$or": [{"n": 0}, {"owner": "bob"}]}),
    "window": _things({}, sort=(("n", 1),), limit=2),
    "page": _things({"n": {"$lt": 3}}, sort=(("n", -1),), skip=1, limit=2),
    "rest": _things({}, sort=(("owner", 1), ("n", -1)), skip=2),
    "short": _things({"owner": "ann"}, sort=(("n", -1),), limit=1, projection={"n": 1}),
    "numbers": _things({}, projection={"n": 1}),
    "owners": _things({"n": {"$lte": 2}}, projection={"owner": 1, "tags": 1}),
    _OF_USER: (),
    MANUAL: (),
    "sides": (Query(collection=SIDES),),
    "high": (Query(collection=SIDES, selector={"n": {"$gte": 2}}),),
    "plain": (Query(collection=PLAIN, selector={"n": {"$lte": 2}}),),
    "both": (
        Query(collection=THINGS, selector={"n": {"$lte": 1}}),
        Query(collection=SIDES, selector={"n": 1}),
    ),
}
"""Name -> its cursors, for everybody; ``mine`` depends on the user and ``manual`` has none."""


@dataclass(frozen=True, slots=True)
class Join:
    """A query whose documents bring others along.

    Attributes:
        parents: What is found first.
        children: What each document of it brings along.
    """

    parents: Query
    children: Callable[[Mapping[str, Any]], Query]

    def shown(self, history: "History") -> list[tuple[str, "View"]]:
        """Return what nested finds return at the end: collection and documents."""
        parents = history.now(self.parents)
        children = [self.children(parent) for parent in parents.values()]
        return [
            (self.parents.collection, parents),
            *((query.collection, history.now(query)) for query in children),
        ]


JOINS: Mapping[str, Join] = {
    "family": Join(
        Query(collection=THINGS, selector={"n": {"$gte": 1}}),
        lambda thing: Query(collection=NOTES, selector={"of": thing["_id"]}),
    ),
    # Into the parents' own collection: a document is held by both levels.
    "kin": Join(
        Query(collection=THINGS, selector={"n": {"$in": [0, 3]}}),
        lambda thing: Query(collection=THINGS, selector={"owner": thing.get("owner")}),
    ),
}
"""Name of a publication -> its only cursor, which has children."""

COUNTED: Mapping[str, Query] = {
    "counted": Query(collection=THINGS, selector={"n": {"$gte": 1, "$lt": 9}}),
}
"""Name of a publication -> what it counts, under its own name."""

NAMES = (*PUBLICATIONS, *JOINS, *COUNTED, BEDS)
"""All publications."""


def queries_of(name: str, user: str | None) -> tuple[Query, ...]:
    """Return the cursors of a publication for a user."""
    if name == _OF_USER:
        return () if user is None else _things({"owner": user})
    return PUBLICATIONS.get(name, ())


@dataclass(frozen=True, slots=True)
class Work:
    """What one write step does.

    Attributes:
        operations: One after the other.
        is_transaction: All of them together or none.
        aborts: It is given up after the last of them.
        drops: Name of a collection that is dropped instead.
    """

    operations: Sequence[WriteOperation] = ()
    is_transaction: bool = False
    aborts: bool = False
    drops: str | None = None


def work_of(kind: str, *args: Any) -> Work:
    """Return what a write step does."""
    match kind, *args:
        case "put", id, n:
            return Work([_put(id, n)])
        case "set", id, n:
            return Work([_update({"_id": id}, {"$set": {"n": n}})])
        case "push", id, n:
            return Work([_update({"_id": id}, {"$push": {"tags": n}})])
        case "unset", id:
            return Work([_update({"_id": id}, {"$unset": {"n": 1}})])
        case "own", id, owner:
            return Work([_update({"_id": id}, {"$set": {"owner": owner}})])
        case "insert", id, n:
            return Work([Insert(collection=THINGS, documents=[{"_id": id, "n": n}])])
        case "upsert", id, n:
            selector = {"_id": id, "n": {"$gte": n}}
            return Work([_update(selector, {"$set": {"tags": [n]}}, upsert=True)])
        case "delete", id:
            return Work([Delete(collection=THINGS, selector={"_id": id})])
        case "clear", n:
            return Work([Delete(collection=THINGS, selector={"n": n}, many=True)])
        case "raise", n:
            return Work([_update({"n": {"$lte": n}}, {"$inc": {"n": 1}}, many=True)])
        case "bump", n:
            return Work([_find_and_modify({"n": {"$lte": n}}, {"$inc": {"n": 2}})])
        case "take", n:
            return Work([_find_and_modify({"n": {"$gte": n}}, None)])
        case "swap", id, other:
            operations = [
                _update({"_id": id}, {"$set": {"n": 3}}),
                _update({"_id": other}, {"$set": {"n": 0}}),
            ]
            return Work(operations, is_transaction=True)
        case "move", id, other:
            operations = [Delete(collection=THINGS, selector={"_id": id}), _put(other, 1)]
            return Work(operations, is_transaction=True)
        case "flood", n:
            # More changes than a small history holds.
            return Work([_put(id, n) for id in IDS], is_transaction=True)
        case "abort", id:
            operations = [Delete(collection=THINGS, selector={"_id": id}), _put("e", 9)]
            return Work(operations, is_transaction=True, aborts=True)
        case "side", id, n:
            return Work([_put(id, n, SIDES), _put(id, n, PLAIN)])
        case "unside", id:
            return Work([Delete(collection=name, selector={"_id": id}) for name in (SIDES, PLAIN)])
        case "note", id, of:
            modifier: Document = {"of": of, "text": f"of {of}"}
            return Work(
                [Update(collection=NOTES, selector={"_id": id}, modifier=modifier, upsert=True)]
            )
        case "unnote", id:
            return Work([Delete(collection=NOTES, selector={"_id": id})])
        case "bed", id, ward:
            return Work(
                [
                    Update(
                        collection=BEDS, selector={"_id": id}, modifier={"ward": ward}, upsert=True
                    )
                ]
            )
        case "drop", *_:
            return Work(drops=THINGS)
        case _:
            raise AssertionError(kind)


def _put(id: str, n: int, collection: str = THINGS) -> WriteOperation:
    document: Document = {"n": n, "tags": [n], "owner": USERS[n % 2]}
    return Update(collection=collection, selector={"_id": id}, modifier=document, upsert=True)


def _update(
    selector: Mapping[str, Any], modifier: Mapping[str, Any], **options: Any
) -> WriteOperation:
    return Update(collection=THINGS, selector=selector, modifier=modifier, **options)


def _find_and_modify(
    selector: Mapping[str, Any], modifier: Mapping[str, Any] | None
) -> WriteOperation:
    return FindAndModify(collection=THINGS, selector=selector, modifier=modifier, sort=(("n", -1),))


def shown(query: Query, documents: Iterable[Document]) -> View:
    """Return what ``find`` returns, by an implementation that knows no store."""
    sorter = Sorter([*query.sort, ("_id", 1)]) if query.sort else None
    found = run_query(
        documents,
        matcher=Matcher(query.selector),
        sorter=sorter,
        skip=query.skip,
        limit=query.limit,
        projection=None if query.projection is None else Projection(dict(query.projection)),
    )
    return {key_of(document["_id"]): document for document in found}


def merged(views: Iterable[View]) -> View:
    """Merge views whose documents agree in the fields they share."""
    result: View = {}
    for view in views:
        for key, document in view.items():
            result[key] = {**result.get(key, {}), **document}
    return result


@dataclass(slots=True)
class History:
    """Every state the database has been in, by position.

    A store tells of its own commits one by one, whatever it loses of those of others; so what all
    stores of a test tell is complete.

    Attributes:
        changes: Position -> change.
        ends: Positions that can be seen: those at which a write or a transaction was complete.
    """

    changes: dict[int, Change] = field(default_factory=dict[int, Change])
    ends: set[int] = field(default_factory=lambda: {0})
    _states: list[tuple[int, dict[str, View]]] = field(
        default_factory=list[tuple[int, dict[str, View]]]
    )
    _shown: dict[tuple[str, int], View] = field(default_factory=dict[tuple[str, int], View])

    def record(self, changes: Iterable[Change]) -> None:
        """Take changes that a store tells of; several stores tell of the same ones."""
        for change in changes:
            position = change.position
            assert isinstance(position, int)
            known = self.changes.setdefault(position, change)
            assert (known.id, known.kind, known.after) == (change.id, change.kind, change.after), (
                f"two stores tell different stories of change {position}"
            )
            if change.kind is ChangeKind.COLLECTION_LOST:
                self.ends.add(position)
            # A claim comes first in its commit, and stays if nothing else was changed.
            if change.collection == CALLS:
                self.ends.add(position)

    def complete(self) -> None:
        """Work out the states; call it while nothing is being written."""
        last = max(self.changes, default=0)
        assert len(self.changes) == last, "the stores do not tell of every change"
        state: dict[str, View] = {}
        self._states = [(0, {})]
        for position in range(1, last + 1):
            change = self.changes[position]
            view = dict(state.get(change.collection, {}))
            if change.kind is ChangeKind.COLLECTION_LOST:
                view = {}
            elif change.after is None:
                del view[key_of(change.id)]
            else:
                view[key_of(change.id)] = change.after
            state = {**state, change.collection: view}
            if position in self.ends:
                self._states.append((position, state))
        assert last in self.ends, "the last change belongs to no write that ended"

    def now(self, query: Query) -> View:
        """Return what a query shows at the end."""
        return self._at(query, len(self._states) - 1)

    def first_match(self, queries: Iterable[Query], view: View, floor: int) -> int | None:
        """Return the first position from ``floor`` on at which a query shows a view."""
        queries = tuple(queries)
        for index, (position, _) in enumerate(self._states):
            if position >= floor and any(self._at(query, index) == view for query in queries):
                return position
        return None

    def fits_singly(self, queries: Iterable[Query], view: View, floor: int) -> str | None:
        """Look for a document that is shown as it was at no position from ``floor`` on.

        In the middle of a turn, and of a slow reader, no more can be said: what waits is sent as it
        is at the time of sending, and what came to wait behind a message is sent after it.

        Returns:
            The key of such a document; None if there is none.
        """
        queries = tuple(queries)
        since = [i for i, (position, _) in enumerate(self._states) if position >= floor]
        states = [self._at(query, index) for query in queries for index in since]
        for key in {*view, *(key for state in states for key in state)}:
            if all(state.get(key) != view.get(key) for state in states):
                return str(key)
        return None

    def _at(self, query: Query, index: int) -> View:
        position, state = self._states[index]
        key = (repr(query), position)
        found = self._shown.get(key)
        if found is None:
            documents = state.get(query.collection, {}).values()
            found = self._shown[key] = shown(query, documents)
        return found
