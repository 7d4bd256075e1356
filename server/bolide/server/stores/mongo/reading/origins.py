"""What the collections of a database are: some of them are none that a change stream tells of."""

from collections.abc import Collection, Mapping

# What the server answers.
from typing import Any, Final

from pymongo.asynchronous.database import AsyncDatabase

from bolide.core.values import Document
from bolide.server.stores.base import ChangeBatch, ChangeKind, Position
from bolide.server.stores.evaluation import CollectionKind, Origin
from bolide.server.stores.pipelines import collections_of

__all__ = ["Origins"]

_MAX_VIEWS: Final = 20
"""Most views below a view, as in MongoDB."""


class Origins:
    """Finds out where documents come from; a listener of the feed.

    A collection that the feed tells of is asked for once. A view may be defined anew, and a
    collection that is only joined dropped and made anew as a view, without a word of the feed: they
    are asked for each time, for an access scope depends on it.

    Args:
        database: Of a client that is connected.
        declared: Names of the collections that the feed tells of; None for all.
    """

    def __init__(self, database: AsyncDatabase[Document], declared: frozenset[str] | None) -> None:
        """Begin without knowing any."""
        self.database = database
        self._declared = declared
        self._known: dict[str, Origin] = {}

    async def find(self, collection: str, depth: int = 0) -> Origin:
        """Return where the documents of a collection come from.

        One that does not exist will be one like any other; it is asked for again the next time.

        Raises:
            PyMongoError: If the database could not be asked.
        """
        known = self._known.get(collection)
        if known is not None:
            return known
        cursor = await self.database.list_collections(filter={"name": collection})
        found = await cursor.to_list()
        if not found:
            return self._plain(collection, CollectionKind.COLLECTION)
        origin = await self._described(collection, found[0], depth)
        # The stream tells when one of these is not what it was, and of no other.
        is_told = self._declared is None or collection in self._declared
        if is_told and origin.kind in (CollectionKind.COLLECTION, CollectionKind.CAPPED):
            self._known[collection] = origin
        return origin

    def is_capped(self, collection: str) -> bool:
        """Tell whether a collection is known to be capped."""
        known = self._known.get(collection)
        return known is not None and known.kind is CollectionKind.CAPPED

    def forget(self, collection: str | None = None) -> None:
        """Ask again what a collection is, and what is above it; None is all."""
        for name, origin in tuple(self._known.items()):
            if collection is None or name == collection or collection in origin.reads:
                del self._known[name]

    def changes_received(self, batch: ChangeBatch) -> None:
        """Forget what was dropped, renamed or converted."""
        for change in batch.changes:
            if change.kind is ChangeKind.COLLECTION_LOST:
                self.forget(change.collection)

    def wants_update(self, collection: str, id: Any, paths: Collection[str]) -> bool:
        """Want none: what happens in a document says nothing about its collection."""
        return False

    def history_lost(self, position: Position) -> None:
        """Forget all."""
        self.forget()

    async def _described(self, name: str, found: Mapping[str, Any], depth: int) -> Origin:
        options = found["options"]
        match found["type"]:
            case "view":
                return await self._view(name, options, depth)
            case "timeseries":
                # The stream tells of its buckets at most, and of these only where it is asked to.
                return Origin(CollectionKind.TIME_SERIES, frozenset({name}), False)
            case _:
                kind = CollectionKind.CAPPED if options.get("capped") else CollectionKind.COLLECTION
                return self._plain(name, kind)

    async def _view(self, name: str, options: Mapping[str, Any], depth: int) -> Origin:
        """Describe a view by what it is of; views may be of views."""
        below = {options["viewOn"], *collections_of(options["pipeline"])} - {name}
        reads: set[str] = set()
        is_told = depth < _MAX_VIEWS
        for one in sorted(below) if is_told else ():
            origin = await self.find(one, depth + 1)
            reads |= {one, *origin.reads}
            is_told = is_told and origin.is_told
        return Origin(CollectionKind.VIEW, frozenset(reads), is_told)

    def _plain(self, name: str, kind: CollectionKind) -> Origin:
        is_told = self._declared is None or name in self._declared
        return Origin(kind, frozenset({name}), is_told)
