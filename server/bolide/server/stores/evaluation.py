"""What only a database evaluates: a port beside the store's, for queries that are polled.

Minimongo matches most selectors, so most live queries are kept up to date by the feed alone. Where
it cannot, because of the query (``$where``, an aggregation) or of the collection (a view), the
database is asked again and again; which stores can be is found out with ``isinstance``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, Protocol, runtime_checkable

from bolide.server.stores.base import Position, Query, Snapshot

__all__ = ["Aggregation", "CollectionKind", "Evaluator", "Origin"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Aggregation(Query):
    """The rows of a pipeline over one collection; only its access filter restricts it further.

    Attributes:
        name: The collection that the rows are in for clients.
        pipeline: MongoDB's stages.
        joined: Names of the other collections that these read.
        scoped: Names of the collections with access scopes, which must not be joined.
    """

    name: str
    pipeline: tuple[Mapping[str, Any], ...]
    joined: frozenset[str] = frozenset()
    scoped: frozenset[str] = frozenset()

    @property
    def published_in(self) -> str:
        """Name of the collection that the rows are in for clients."""
        return self.name


class CollectionKind(Enum):
    """What a collection is; the values are words for people."""

    COLLECTION = "collection"
    CAPPED = "capped"
    VIEW = "view"
    TIME_SERIES = "time series"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where the documents of a collection come from.

    Attributes:
        kind: What it is.
        reads: Names of the collections whose changes are its own: itself, or what a view is of.
        is_told: The feed tells of all these changes.
    """

    kind: CollectionKind
    reads: frozenset[str]
    is_told: bool


@runtime_checkable
class Evaluator(Protocol):
    """A store whose database evaluates what minimongo cannot."""

    async def origin(self, collection: str) -> Origin:
        """Say where the documents of a collection come from; known ones cost no question.

        Raises:
            PyMongoError: If the database could not be asked.
        """
        ...

    async def evaluate(self, query: Query, *, after: Position | None = None) -> Snapshot:
        """Let the database evaluate a query or an :class:`Aggregation`.

        Args:
            query: What to read.
            after: The position it must not be read before; None is all that the database has
                taken from anybody when this begins.

        Returns:
            The documents. They may be newer than the position: it is the lower bound where the
            database does not say when it read.

        Raises:
            PyMongoError: If the database refuses or cannot be reached.
        """
        ...
