"""Published aggregations: the rows of a pipeline, which the database makes again and again."""

import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches

# Stages are of applications.
from typing import Any, Final, cast

from bolide.server.access.gateway import Gateway
from bolide.server.collections.collection import Collection
from bolide.server.collections.specification import document_of
from bolide.server.livequery.advice.shape import STAGES
from bolide.server.logging.explained import NeedsMongoDB
from bolide.server.stores.base import AccessFilter
from bolide.server.stores.evaluation import Aggregation, Evaluator
from bolide.server.stores.pipelines import WrongPipeline, collections_of, past_scopes, stages_of

__all__ = ["LiveAggregate"]

_NAME: Final = re.compile(r"\$[A-Za-z]{1,30}")
_WRITING: Final = ("$out", "$merge")
_WITH_OBJECT: Final = ("$match", "$geoNear", "$lookup", "$graphLookup", "$facet")
_FOREIGN: Final = {"$lookup": "from", "$graphLookup": "from", "$unionWith": "coll"}


class LiveAggregate:
    """Rows that a publish function returns; ``app.live_aggregate`` makes it.

    Args:
        gateway: The way to the store.
        name: The collection that the rows are in for clients.
        collection: What is aggregated.
        pipeline: MongoDB's stages.
        scoped: Names of the collections that have access scopes.

    Raises:
        NeedsMongoDB: If the store cannot evaluate a pipeline.
        NotRunning: If there is no store.
        TypeError: If an argument is of another type.
        WrongPipeline: If the pipeline writes, cannot be kept inside access scopes, or has a stage
            that is not known.
    """

    __slots__ = ("_aggregation", "_gateway", "name")

    def __init__(
        self,
        gateway: Gateway,
        name: str,
        collection: Collection,
        pipeline: Sequence[Mapping[str, Any]],
        scoped: frozenset[str],
    ) -> None:
        """Check the pipeline; nothing is read yet."""
        # The annotations are a promise of the app.
        if not isinstance(name, str) or not name:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError("The name of an aggregation's rows is a text that is not empty.")
        if not isinstance(collection, Collection):  # pyright: ignore[reportUnnecessaryIsInstance]
            raise TypeError(f"The aggregation for {name} needs a collection of app.collection.")
        if not isinstance(pipeline, (list, tuple)):
            raise TypeError(f"The pipeline for {name} is a list of stages.")
        if not isinstance(gateway.store, Evaluator):
            raise NeedsMongoDB(f"app.live_aggregate on {collection.name}")
        if name in scoped:
            raise WrongPipeline(
                collection.name,
                f"rows cannot be in {name}, which has access=: give them a name of their own",
            )
        stages = tuple([document_of(stage, "a stage") for stage in pipeline])
        _check(collection.name, stages, scoped)
        self._gateway = gateway
        self.name = name
        self._aggregation = Aggregation(
            collection=collection.name,
            name=name,
            pipeline=stages,
            joined=collections_of(stages),
            scoped=scoped,
            access=None if collection.access is None else AccessFilter(collection.access),
        )

    @property
    def query(self) -> Aggregation:
        """What the running invocation may follow, with its open access scopes.

        Raises:
            UndecidedAccess: If nobody decided.
            UnopenedAccess: If the collection has access scopes and none is open.
        """
        return self._gateway.admitted(self._aggregation, "published rows of")


def _check(
    collection: str,
    pipeline: Sequence[Mapping[str, Any]],
    scoped: frozenset[str],
) -> None:
    """Refuse what cannot be published; deny what is not known.

    Raises:
        WrongPipeline: If it cannot.
    """
    for name, asked in stages_of(pipeline):
        if name in _WRITING:
            raise WrongPipeline(collection, f"{name} writes, and a publication only reads")
        if name not in STAGES:
            raise WrongPipeline(collection, _unknown(name))
        if name in _FOREIGN:
            _check_joined(collection, name, asked, scoped)
        if name in _WITH_OBJECT and not isinstance(asked, Mapping):
            raise WrongPipeline(collection, f"{name} needs an object")


def _unknown(stage: str) -> str:
    """Name a stage that is not known, if it is a name, and the one that was meant, if any."""
    if _NAME.fullmatch(stage) is None:
        return "it has a stage that is not known, whose name is none: it begins with $"
    meant = get_close_matches(stage, STAGES, n=1)
    return f"{stage} is a stage that is not known{f': did you mean {meant[0]}?' if meant else ''}"


def _check_joined(collection: str, stage: str, asked: object, scoped: frozenset[str]) -> None:
    """Refuse to read another collection past its access scopes, or one that is not the app's."""
    joined = asked
    if isinstance(asked, Mapping):
        fields = cast("Mapping[str, object]", asked)
        if _FOREIGN[stage] not in fields and "pipeline" in fields:
            return  # it begins with $documents
        joined = fields.get(_FOREIGN[stage])
    if not isinstance(joined, str):
        raise WrongPipeline(collection, f"{stage} needs the name of a collection")
    problem = past_scopes(joined, {joined}, scoped)
    if problem:
        raise WrongPipeline(collection, f"{stage} {problem}")
