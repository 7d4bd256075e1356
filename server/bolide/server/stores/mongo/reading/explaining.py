"""What a query costs the server: asked of its planner, so that nothing large is read again."""

from collections.abc import Iterator, Mapping, Sequence

# What the server answers.
from typing import Any, Final, cast

from pymongo.asynchronous.database import AsyncDatabase
from pymongo.errors import ExecutionTimeout

from bolide.core.values import Document
from bolide.server.stores.base import Query
from bolide.server.stores.mongo.reading.queries import find_command

__all__ = ["EXPLAIN_MS", "examined"]

EXPLAIN_MS: Final = 2_000
"""Longest time that the server may take to explain a query, milliseconds."""

_SCAN: Final = "COLLSCAN"
_BELOW: Final = ("inputStage", "inputStages", "queryPlan", "thenStage", "elseStage", "outerStage")


async def examined(database: AsyncDatabase[Document], query: Query) -> int | None:
    """Count the documents that the server looks at; None if that takes too long.

    The plan is asked for first. One that goes through the collection is not run: the collection's
    size is known. One that uses an index is run once more.

    Args:
        database: Of a client that is connected.
        query: As it is read.

    Raises:
        PyMongoError: If the server could not be asked.
    """
    command = {name: value for name, value in find_command(query).items() if name != "batchSize"}
    try:
        planned = await _explain(database, command, "queryPlanner")
        plan = planned["queryPlanner"].get("winningPlan", {})
        if any(stage.get("stage") == _SCAN for stage in _stages(plan)):
            counted = await database.command({"count": query.collection, "maxTimeMS": EXPLAIN_MS})
            return int(counted["n"])
        run = await _explain(database, command, "executionStats")
    except ExecutionTimeout:
        return None
    return cast("int | None", run.get("executionStats", {}).get("totalDocsExamined"))


async def _explain(
    database: AsyncDatabase[Document], command: Mapping[str, Any], verbosity: str
) -> Mapping[str, Any]:
    return await database.command(
        {"explain": dict(command), "verbosity": verbosity, "maxTimeMS": EXPLAIN_MS}
    )


def _stages(plan: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Go through a stage and those below it."""
    yield plan
    for name in _BELOW:
        below = plan.get(name, ())
        stages = cast("Sequence[Mapping[str, Any]]", below if isinstance(below, list) else [below])
        for stage in stages:
            if stage:
                yield from _stages(stage)
