"""Queries of the store port as the server's commands."""

from collections.abc import Mapping
from typing import Any, Final

from pymongo.errors import OperationFailure

from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import selector_fields
from bolide.core.minimongo.sorter import with_id
from bolide.server.stores.access import effective_selector
from bolide.server.stores.base import Query
from bolide.server.stores.bson_documents import storable
from bolide.server.stores.evaluation import Aggregation
from bolide.server.stores.mongo.reading.regexes import with_portable_regexes
from bolide.server.stores.pipelines import restricted_pipeline

__all__ = [
    "BATCH",
    "COLLATION",
    "aggregate_command",
    "count_command",
    "distinct_command",
    "find_command",
    "server_selector",
]

BATCH: Final = 1000
"""Documents in one answer."""

COLLATION: Final[dict[str, Any]] = {"locale": "simple"}
"""How texts are compared, whatever a collection's own collation says: byte for byte, as everywhere
else in Bolide. With another one an access scope would let in what only looks alike."""

_BAD_VALUE: Final = 2
# As in Meteor a false ``_id`` is a mistake, and finds nothing.
_NOTHING: Final[dict[str, Any]] = {"_id": {"$in": []}}


def server_selector(selector: Mapping[str, Any]) -> dict[str, Any]:
    """Return a selector for the server that selects what it selects everywhere else.

    Raises:
        OperationFailure: If it is nested too deeply.
        WriteError: If it holds what BSON cannot hold.
    """
    try:
        fields = selector_fields(storable(selector))
    except MinimongoError as error:
        raise OperationFailure(str(error), _BAD_VALUE) from error
    return _NOTHING if fields is None else with_portable_regexes(fields)


def find_command(query: Query) -> dict[str, Any]:
    """Return the command that finds the documents of a query, in its order."""
    command: dict[str, Any] = {
        "find": query.collection,
        "filter": server_selector(effective_selector(query)),
        "batchSize": BATCH,
        "collation": COLLATION,
    }
    if query.sort:
        command["sort"] = dict(with_id(query.sort))
    if query.skip:
        command["skip"] = query.skip
    if query.limit:
        command["limit"] = query.limit
    if query.projection is not None:
        command["projection"] = dict(query.projection)
    return command


def aggregate_command(aggregation: Aggregation) -> dict[str, Any]:
    """Return the command that makes the rows of an aggregation, inside its access scopes."""
    stages = restricted_pipeline(aggregation.pipeline, aggregation.access)
    return {
        "aggregate": aggregation.collection,
        "pipeline": [storable(stage) for stage in stages],
        "cursor": {"batchSize": BATCH},
        "collation": COLLATION,
    }


def count_command(query: Query) -> dict[str, Any]:
    """Return the command that counts the documents of a query: one with the field ``count``."""
    pipeline: list[dict[str, Any]] = [{"$match": server_selector(effective_selector(query))}]
    if query.skip:
        pipeline.append({"$skip": query.skip})
    if query.limit:
        pipeline.append({"$limit": query.limit})
    pipeline.append({"$count": "count"})
    return {
        "aggregate": query.collection,
        "pipeline": pipeline,
        "cursor": {},
        "collation": COLLATION,
    }


def distinct_command(collection: str, path: str, selector: Mapping[str, Any]) -> dict[str, Any]:
    """Return the command that tells the different values at a path."""
    return {
        "distinct": collection,
        "key": path,
        "query": server_selector(selector),
        "collation": COLLATION,
    }
