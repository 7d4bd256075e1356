"""The cursor: a query that can be read, counted or published."""

from collections.abc import AsyncGenerator
from dataclasses import replace
from typing import Any

from bolide.core.values import Document
from bolide.server._specification import (
    ProjectionSpec,
    SortSpec,
    copied,
    count_of,
    projection_of,
    sort_of,
)
from bolide.server.access.gateway import Gateway
from bolide.server.stores.base import Query

__all__ = ["Cursor"]


class Cursor:
    """A query over one collection.

    Return it from a publish function, or read it: ``async for document in cursor``,
    ``await cursor.to_list()``. Every reading asks the store again. The methods that refine it
    change this cursor and return it, as those of PyMongo do.
    """

    __slots__ = ("_gateway", "_query")

    def __init__(self, gateway: Gateway, query: Query) -> None:
        """Make a cursor; apps call ``collection.find``."""
        self._gateway = gateway
        self._query = query

    @property
    def query(self) -> Query:
        """What it asks for; in a collection with access scopes none of them is open in it."""
        return self._query

    def admitted(self) -> Query:
        """Return the query as the running invocation may follow it, with its open access scopes.

        Raises:
            UndecidedAccess: If nobody decided.
            UnopenedAccess: If the collection has access scopes and none is open.
        """
        return self._gateway.admitted(self._query, "published")

    def sort(self, key: SortSpec, direction: int = 1) -> "Cursor":
        """Set the order; equal keys go by ``_id``.

        Args:
            key: A path, or all paths with their directions.
            direction: 1 or -1, for a single path.
        """
        order = sort_of(((key, direction),) if isinstance(key, str) else key)
        return self._refined(sort=order)

    def limit(self, limit: int) -> "Cursor":
        """Set the most documents that are returned; 0 is no limit."""
        return self._refined(limit=count_of(limit, "limit"))

    def skip(self, skip: int) -> "Cursor":
        """Set how many documents are left out at the start."""
        return self._refined(skip=count_of(skip, "skip"))

    def projection(self, projection: ProjectionSpec | None) -> "Cursor":
        """Set which fields are returned."""
        return self._refined(projection=projection_of(projection))

    async def to_list(self, length: int | None = None) -> list[Document]:
        """Return the documents; they are the caller's own.

        Args:
            length: Most documents returned; None is all.
        """
        documents = await self._gateway.read(self._query)
        return [copied(document) for document in documents[:length]]

    async def count(self) -> int:
        """Count the documents, within skip and limit."""
        return await self._gateway.count(self._query)

    async def __aiter__(self) -> AsyncGenerator[Document]:
        for document in await self._gateway.read(self._query):
            yield copied(document)

    def _refined(self, **changes: Any) -> "Cursor":
        self._query = replace(self._query, **changes)
        return self
