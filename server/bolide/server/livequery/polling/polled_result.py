"""The result of a polled query: whatever the database answered last."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

# Selectors and projections are of applications.
from typing import Any, ClassVar, Final, cast

from bson import ObjectId

from bolide.core.errors import StateError
from bolide.core.keys import key_of
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.projection import Projection
from bolide.core.values import Document
from bolide.server.livequery.result import HIDDEN_ID, RequeriedResult
from bolide.server.logging.explained import Explained
from bolide.server.stores.base import Query
from bolide.server.stores.evaluation import Aggregation

__all__ = ["PolledResult", "TooManyRows", "UnidentifiedRows", "relevant_selector"]

# What minimongo and MongoDB are certain to find equal in the same documents.
_PLAIN: Final = (str, ObjectId)


class UnidentifiedRows(Explained, StateError):
    """Rows that clients could not tell apart."""

    code: ClassVar[str] = "unidentified-rows"

    def __init__(self, collection: str, problem: str) -> None:
        """Keep what is wrong.

        Args:
            collection: What clients call the collection of the rows.
            problem: How they are, in words, without a value.
        """
        super().__init__(collection, problem)
        self.collection = collection
        self.problem = problem

    def __str__(self) -> str:
        """Say what to do."""
        return (
            f"Rows of {self.collection} {self.problem}: each needs an _id of its own, for example"
            " from a $group."
        )


class TooManyRows(Explained, StateError):
    """An aggregation gave more rows than one may."""

    code: ClassVar[str] = "too-many-rows"

    def __init__(self, collection: str, limit: int) -> None:
        """Keep the limit.

        Args:
            collection: What clients call the collection of the rows.
            limit: ``max_aggregate_rows``.
        """
        super().__init__(collection, limit)
        self.collection = collection
        self.limit = limit

    def __str__(self) -> str:
        """Say what to do."""
        return (
            f"The aggregation for {self.collection} has more than {self.limit} rows: add a $limit"
            " or a $match, or raise BOLIDE_MAX_AGGREGATE_ROWS."
        )


class PolledResult(RequeriedResult):
    """The documents or rows that the database found.

    Args:
        query: What is followed.
        max_rows: Most rows of an aggregation.
        sees_all: Any change of its collection may concern it, whatever its selector says.

    Raises:
        MinimongoError: If its projection hides the ``_id``.
    """

    stale_because = "change"

    def __init__(self, query: Query, max_rows: int, *, sees_all: bool = False) -> None:
        """Begin without documents."""
        self.relevant: Mapping[str, Any] = {} if sees_all else relevant_selector(query)
        super().__init__(query, Matcher(self.relevant))
        self._max_rows = max_rows

    @property
    def reading(self) -> Query:
        """What is to be read: one row more than there may be."""
        query = self.query
        if not isinstance(query, Aggregation):
            return query
        return replace(query, pipeline=(*query.pipeline, {"$limit": self._max_rows + 1}))

    def load(self, documents: Sequence[Document]) -> None:
        """Take what the database found.

        Raises:
            TooManyRows: If an aggregation found too many.
            UnidentifiedRows: If clients could not tell them apart.
        """
        name = self.query.published_in
        if isinstance(self.query, Aggregation) and len(documents) > self._max_rows:
            raise TooManyRows(name, self._max_rows)
        if any("_id" not in document for document in documents):
            raise UnidentifiedRows(name, "have no _id")
        if len({key_of(document["_id"]) for document in documents}) < len(documents):
            raise UnidentifiedRows(name, "have the same _id")
        super().load(documents)

    def _compiled(self, projection: Mapping[str, Any] | None) -> Projection:
        """Return what leaves a document as it is: the database projected it."""
        shows_id = True if projection is None else projection.get("_id", True)
        # Whatever else stands there is an expression.
        if isinstance(shows_id, (bool, int, float)) and not shows_id:
            raise MinimongoError(HIDDEN_ID)
        return Projection(None)

    def _note(self, key: Any, is_held: bool) -> None:
        """Let the router know which documents are held; rows are none."""
        if not isinstance(self.query, Aggregation):
            super()._note(key, is_held)


def relevant_selector(query: Query) -> Mapping[str, Any]:
    """Return a part of a query's selector: what does not match it cannot be in the result.

    Only plain values are in it, of which minimongo and MongoDB think the same, and the access
    filter. A change of a document that matched it neither before nor afterwards needs no reading.
    """
    selector: object = query.selector
    if isinstance(query, Aggregation):
        selector = query.pipeline[0].get("$match") if query.pipeline else None
    parts = list(_plain_parts(selector))
    if query.access is not None:
        parts.append({query.access.field: {"$in": sorted(query.access.scopes)}})
    return {"$and": parts} if parts else {}


def _plain_parts(selector: object) -> Sequence[Mapping[str, Any]]:
    if not isinstance(selector, Mapping):
        return ()
    parts: list[Mapping[str, Any]] = []
    for name, asked in cast("Mapping[str, object]", selector).items():
        if name == "$and" and isinstance(asked, list):
            for inner in cast("list[object]", asked):
                parts += _plain_parts(inner)
        elif not name.startswith("$") and asked and _is_plain(asked):
            parts.append({name: asked})
    return parts


def _is_plain(asked: object) -> bool:
    if isinstance(asked, _PLAIN):
        return True
    if not isinstance(asked, dict):
        return False
    operators = cast("dict[str, object]", asked)
    if set(operators) == {"$eq"}:
        return isinstance(operators["$eq"], _PLAIN)
    values = operators.get("$in")
    if set(operators) != {"$in"} or not isinstance(values, list):
        return False
    return all(isinstance(value, _PLAIN) for value in cast("list[object]", values))
