"""Aggregation pipelines: what they read, and how they are kept inside access scopes."""

from collections.abc import Iterator, Mapping, Sequence

# Stages come from applications and databases.
from typing import Any, Final, cast

from bolide.server.stores.access import restricted
from bolide.server.stores.base import AccessFilter

__all__ = ["collections_of", "restricted_pipeline", "stages_of"]

_NAMED_BY: Final = {"$lookup": "from", "$graphLookup": "from", "$unionWith": "coll"}
"""Stages that read another collection, and where they name it."""


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
