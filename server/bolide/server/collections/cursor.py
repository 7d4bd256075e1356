"""The cursor: a query that can be read, counted or published."""

import inspect
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeAlias

from bolide.core.values import Document
from bolide.server.access.gateway import Gateway
from bolide.server.collections.specification import (
    ProjectionSpec,
    SortSpec,
    copied,
    count_of,
    projection_of,
    sort_of,
)
from bolide.server.stores.base import Query

__all__ = ["ChildFunction", "Cursor", "children_of"]

ChildFunction: TypeAlias = Callable[[Mapping[str, Any]], "Cursor | None"]
"""Given a published document, returns the cursor of what is published with it, or None."""


class Cursor:
    """A query over one collection.

    Return it from a publish function, or read it: ``async for document in cursor``,
    ``await cursor.to_list()``. Every reading asks the store again. The methods that refine it
    change this cursor and return it, as those of PyMongo do.

    Attributes:
        children: Child functions, asked for each document that is published; reading and counting
            ignore them.
    """

    __slots__ = ("_gateway", "_query", "children")

    def __init__(
        self, gateway: Gateway, query: Query, children: tuple[ChildFunction, ...] = ()
    ) -> None:
        """Make a cursor; apps call ``collection.find``."""
        self._gateway = gateway
        self._query = query
        self.children = children

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


def children_of(children: Sequence[ChildFunction] | None) -> tuple[ChildFunction, ...]:
    """Check child functions.

    Args:
        children: As an app wrote them; None is none.

    Raises:
        TypeError: If it is no sequence of plain functions; the text says what to write.
    """
    # The annotation is a promise of the app.
    given: object = () if children is None else children
    if not isinstance(given, (list, tuple)):
        raise TypeError("children is a list of functions: children=[lambda parent: ...].")
    for function in given:  # pyright: ignore[reportUnknownVariableType]
        if not callable(function):  # pyright: ignore[reportUnknownArgumentType]
            raise TypeError("children holds functions that return a cursor or None.")
        if inspect.iscoroutinefunction(function):
            raise TypeError("A child function is a plain function, not async: it reads nothing.")
    return tuple(children or ())
