"""What a query asks for without the values it asks with, for operators of a node to look at."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from bolide.core.minimongo.paths import is_array, is_document

__all__ = ["STAGES", "path_shape", "pipeline_shape", "shape_of", "sort_shape"]

# Paths are written by programs, but a program may put a key of its data into one.
_PLAIN_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z_]{0,30}[0-9]{0,2}")
# fmt: off
_OPERATORS: Final = frozenset({
    "$all", "$and", "$bitsAllClear", "$bitsAllSet", "$bitsAnyClear", "$bitsAnySet", "$comment",
    "$elemMatch", "$eq", "$exists", "$expr", "$geoIntersects", "$geoWithin", "$gt", "$gte",
    "$in", "$jsonSchema", "$lt", "$lte", "$maxDistance", "$mod", "$ne", "$near", "$nearSphere",
    "$nin", "$nor", "$not", "$options", "$or", "$regex", "$size", "$text", "$type", "$where",
})
STAGES: Final = frozenset({
    "$addFields", "$bucket", "$bucketAuto", "$count", "$densify", "$documents", "$facet", "$fill",
    "$geoNear", "$graphLookup", "$group", "$limit", "$lookup", "$match", "$project", "$redact",
    "$replaceRoot", "$replaceWith", "$sample", "$set", "$setWindowFields", "$skip", "$sort",
    "$sortByCount", "$unionWith", "$unset", "$unwind",
})
# fmt: on
"""The stages of pipelines that are known, and only read."""

_HIDDEN: Final = "?"


def shape_of(selector: Mapping[str, Any]) -> str:
    """Write a selector with every value as ``?``, such as ``{ward: ?, n: {$gt: ?}}``.

    Args:
        selector: Any; a part of a path that does not look like a field's name is hidden too.
    """
    fields = [f"{_name_shape(name)}: {_asked(name, asked)}" for name, asked in selector.items()]
    return "{" + ", ".join(fields) + "}"


def pipeline_shape(pipeline: Sequence[Mapping[str, Any]]) -> str:
    """Write a pipeline as the names of its stages, such as ``[$match, $group]``."""
    names = (name if name in STAGES else f"${_HIDDEN}" for stage in pipeline for name in stage)
    return f"[{', '.join(names)}]"


def path_shape(path: str) -> str:
    """Write a dotted path; parts that may be data, such as an id, as ``?``."""
    return ".".join(
        part if _PLAIN_NAME.fullmatch(part) else _HIDDEN for part in str(path).split(".")
    )


def sort_shape(sort: Sequence[tuple[str, int]]) -> str:
    """Write an order, such as ``bed, at descending``."""
    return ", ".join(
        path_shape(path) + (" descending" if direction < 0 else "") for path, direction in sort
    )


def _name_shape(name: str) -> str:
    if name.startswith("$"):
        return name if name in _OPERATORS else f"${_HIDDEN}"
    return path_shape(name)


def _asked(name: str, asked: Any) -> str:
    """Write what follows a name: selectors and operators by their own shape, values hidden."""
    if name in ("$and", "$or", "$nor") and is_array(asked):
        return "[" + ", ".join(map(_inner, asked)) + "]"
    if name in ("$elemMatch", "$not"):
        return _inner(asked)
    if is_document(asked) and any(inner.startswith("$") for inner in asked):
        return shape_of(asked)
    return _HIDDEN


def _inner(selector: Any) -> str:
    return shape_of(selector) if is_document(selector) else _HIDDEN
