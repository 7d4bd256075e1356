"""Aggregation pipelines: what they read, and how they are kept inside access scopes."""

from collections.abc import Collection, Iterator, Mapping, Sequence

# Stages come from applications and databases.
from typing import Any, ClassVar, Final, cast

from bolide.core.errors import StateError
from bolide.server.logging.explained import Explained
from bolide.server.stores.access import restricted
from bolide.server.stores.base import AccessFilter

__all__ = [
    "WrongPipeline",
    "collections_of",
    "past_scopes",
    "restricted_pipeline",
    "stages_of",
]

_NAMED_BY: Final = {"$lookup": "from", "$graphLookup": "from", "$unionWith": "coll"}
"""Stages that read another collection, and where they name it."""
_NOT_OF_APPS: Final = ("_bolide", "system.")


class WrongPipeline(Explained, StateError):
    """A pipeline that cannot be published."""

    code: ClassVar[str] = "wrong-pipeline"

    def __init__(self, collection: str, problem: str) -> None:
        """Keep what is wrong.

        Args:
            collection: What it is over.
            problem: In words, without any value of the pipeline.
        """
        super().__init__(collection, problem)
        self.collection = collection
        self.problem = problem

    def __str__(self) -> str:
        """Say what is wrong."""
        return f"app.live_aggregate on {self.collection} cannot be published: {self.problem}."


def stages_of(pipeline: object) -> Iterator[tuple[str, object]]:
    """Go through all stages, those of inner pipelines included: name, and what it is given.

    Args:
        pipeline: What is no stage in it is left out.
    """
    for stage in _items(pipeline):
        for name, asked in _fields(stage).items():
            yield name, asked
            inner = list(_fields(asked).values()) if name == "$facet" else []
            if name in ("$lookup", "$unionWith"):
                inner = [_fields(asked).get("pipeline")]
            for one in inner:
                yield from stages_of(one)


def collections_of(pipeline: object) -> frozenset[str]:
    """Return the names of the collections that a pipeline reads beside its own."""
    names: set[str] = set()
    for name, asked in stages_of(pipeline):
        if name in _NAMED_BY:
            named = asked if isinstance(asked, str) else _fields(asked).get(_NAMED_BY[name])
            if isinstance(named, str):
                names.add(named)
    return frozenset(names)


def past_scopes(name: str, reads: Collection[str], scoped: Collection[str]) -> str:
    """Say what a pipeline that joins a collection would read without the right to; else nothing.

    What is joined is not restricted to open access scopes, so it must have none. That goes for what
    a view is of, too.

    Args:
        name: What is joined.
        reads: Names of the collections that its documents are from.
        scoped: Names of the collections that have access scopes.
    """
    for one in sorted({name, *reads}):
        through = "" if one == name else f" through the view {name}"
        if one.startswith(_NOT_OF_APPS):
            return f"reads a collection that is not the app's{through}"
        if one in scoped:
            return (
                f"would read {one} past its access scopes{through}, because it has access=:"
                " publish it with children= instead"
            )
    return ""


def restricted_pipeline(
    pipeline: Sequence[Mapping[str, Any]], access: AccessFilter | None
) -> list[Mapping[str, Any]]:
    """Return a pipeline that sees only what is in the open access scopes of its collection.

    What it joins is not restricted. Stages that must be the first stay the first.

    Args:
        pipeline: MongoDB's stages.
        access: Which scopes are open; None for all documents.
    """
    if access is None:
        return list(pipeline)
    first = _fields(pipeline[0] if pipeline else None)
    if set(first) == {"$match"}:
        return [{"$match": restricted(_fields(first["$match"]), access)}, *pipeline[1:]]
    if set(first) == {"$geoNear"}:
        near = _fields(first["$geoNear"])
        asked = restricted(_fields(near.get("query")), access)
        return [{"$geoNear": {**near, "query": asked}}, *pipeline[1:]]
    return [{"$match": restricted({}, access)}, *pipeline]


def _items(value: object) -> Sequence[object]:
    return cast("Sequence[object]", value) if isinstance(value, (list, tuple)) else ()


def _fields(value: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", value) if isinstance(value, Mapping) else {}
