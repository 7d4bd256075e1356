"""Queries of the embedded stores: compiled once, then run over documents in memory."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from time import monotonic
from typing import Any, Final, TypeAlias

from bson import ObjectId
from pymongo.errors import OperationFailure

from bolide.core.keys import Key, key_of
from bolide.core.minimongo.errors import MinimongoError
from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.paths import Parts, is_array, is_array_index, is_document, split
from bolide.core.minimongo.projection import Projection
from bolide.core.minimongo.query import run_query
from bolide.core.minimongo.sorter import Sorter, with_id
from bolide.core.values import Document
from bolide.server.stores.access import effective_selector
from bolide.server.stores.base import Query
from bolide.server.stores.embedded.bounds import bounds_of
from bolide.server.stores.embedded.database import Candidates, Readable
from bolide.server.stores.embedded.errors import BAD_VALUE

__all__ = [
    "MAX_QUERY_S",
    "Explanation",
    "Selection",
    "compile_count",
    "compile_distinct",
    "compile_examined",
    "compile_explain",
    "compile_projection",
    "compile_query",
    "query_errors",
]

MAX_QUERY_S: Final = 2.0
"""Longest time one query may look at documents, seconds: nothing else is done meanwhile."""
_TOO_LONG: Final = 50  # MongoDB's MaxTimeMSExpired

# Ids of these types are equal to a selector's exactly when their keys are.
_INDEXED_ID_TYPES: Final = (str, ObjectId, int, float, datetime)

_Candidates: TypeAlias = Callable[[Readable], Candidates]


@contextmanager
def query_errors() -> Generator[None]:
    """Turn what minimongo says into the error that the store port promises."""
    try:
        yield
    except MinimongoError as error:
        raise OperationFailure(str(error), BAD_VALUE) from error


@dataclass(frozen=True, slots=True)
class Explanation:
    """How a query finds its documents.

    Attributes:
        index: Name of the index that it uses; None if it goes through the whole collection.
        candidates: Documents that it looks at, at most; a limit may end it earlier.
        found: Documents that it returns.
    """

    index: str | None
    candidates: int
    found: int


class Selection:
    """The documents of a collection that match, in an order.

    Attributes:
        matcher: The compiled selector.
        candidates: Gives the documents that it has to look at.
    """

    __slots__ = ("_sorter", "candidates", "matcher")

    def __init__(
        self, collection: str, selector: Mapping[str, Any], sort: Sequence[tuple[str, int]] = ()
    ) -> None:
        """Compile it.

        Raises:
            OperationFailure: If the selector or the sort does not compile.
        """
        with query_errors():
            self.matcher = Matcher(selector)
            self._sorter = Sorter(with_id(sort)) if sort else None
        self.candidates: _Candidates = _candidates(collection, selector)

    def run(
        self,
        readable: Readable,
        *,
        skip: int = 0,
        limit: int = 0,
        projection: Projection | None = None,
    ) -> Sequence[Document]:
        """Return the documents; the arguments are those of :class:`Query`."""
        with query_errors():
            return run_query(
                _within_time(self.candidates(readable).documents),
                matcher=self.matcher,
                sorter=self._sorter,
                skip=skip,
                limit=limit,
                projection=projection,
            )


def _within_time(documents: Iterable[Document]) -> Iterator[Document]:
    """Give up a query that takes too long, such as a client's slow regular expression on many.

    Raises:
        OperationFailure: After :data:`MAX_QUERY_S`.
    """
    deadline = monotonic() + MAX_QUERY_S
    for document in documents:
        if monotonic() > deadline:
            raise OperationFailure(
                f"The query took longer than {MAX_QUERY_S:g} s: ask for fewer documents, by _id or"
                " by a field that tells more of them apart.",
                _TOO_LONG,
            )
        yield document


def compile_projection(spec: Mapping[str, Any]) -> Projection:
    """Return a projection.

    Raises:
        OperationFailure: If it does not compile.
    """
    with query_errors():
        return Projection(dict(spec))


def compile_query(query: Query) -> Callable[[Readable], Sequence[Document]]:
    """Return what finds the documents of a query.

    Raises:
        OperationFailure: If the query does not compile.
    """
    selection = Selection(query.collection, effective_selector(query), query.sort)
    projection = None if query.projection is None else compile_projection(query.projection)

    def find(readable: Readable) -> Sequence[Document]:
        return selection.run(readable, skip=query.skip, limit=query.limit, projection=projection)

    return find


def compile_examined(query: Query) -> Callable[[Readable], int]:
    """Return what counts the documents that a query looks at; it looks at none of them.

    Raises:
        OperationFailure: If the query does not compile.
    """
    selection = Selection(query.collection, effective_selector(query))
    return lambda readable: sum(1 for _ in selection.candidates(readable).documents)


def compile_explain(query: Query) -> Callable[[Readable], Explanation]:
    """Return what tells how a query finds its documents.

    Raises:
        OperationFailure: If the query does not compile.
    """
    selection = Selection(query.collection, query.selector, query.sort)

    def explain(readable: Readable) -> Explanation:
        found = len(selection.run(readable, skip=query.skip, limit=query.limit))
        candidates = selection.candidates(readable)
        return Explanation(candidates.index, sum(1 for _ in candidates.documents), found)

    return explain


def compile_count(query: Query) -> Callable[[Readable], int]:
    """Return what counts the documents of a query.

    Raises:
        OperationFailure: If the query does not compile.
    """
    selection = Selection(query.collection, effective_selector(query))

    def count(readable: Readable) -> int:
        return len(selection.run(readable, skip=query.skip, limit=query.limit))

    return count


def compile_distinct(
    collection: str, path: str, selector: Mapping[str, Any]
) -> Callable[[Readable], list[Any]]:
    """Return what lists the different values at a path, each as it was found first.

    Raises:
        OperationFailure: If the selector does not compile.
    """
    selection = Selection(collection, selector)
    parts = split(path)

    def distinct(readable: Readable) -> list[Any]:
        found: dict[Key, Any] = {}
        for document in selection.run(readable):
            for value in _values_at(document, parts):
                found.setdefault(key_of(value), value)
        return list(found.values())

    return distinct


def _candidates(collection: str, selector: Mapping[str, Any]) -> _Candidates:
    """Return what finds all documents that can match: by ``_id`` if the selector gives it."""
    bounds = bounds_of(selector)
    ids = bounds["_id"].values if "_id" in bounds else None
    if ids is None or not all(isinstance(value, _INDEXED_ID_TYPES) for value in ids):
        return lambda readable: readable.candidates(collection, bounds)
    keys = list(dict.fromkeys(map(key_of, ids)))

    def look_up(readable: Readable) -> Candidates:
        found = (readable.document(collection, key) for key in keys)
        return Candidates("_id_", (document for document in found if document is not None))

    return look_up


def _values_at(value: Any, parts: Parts) -> Iterator[Any]:
    """Go through the values at a path, elements instead of arrays.

    In an array a number is an index, and anything else is looked for in each element.
    """
    if is_array(value):
        if not parts:
            yield from value
        elif is_array_index(parts[0]):
            for element in islice(value, int(parts[0]), int(parts[0]) + 1):
                yield from _values_at(element, parts[1:])
        else:
            for element in value:
                if is_document(element):
                    yield from _values_at(element, parts)
    elif not parts:
        yield value
    elif is_document(value) and parts[0] in value:
        yield from _values_at(value[parts[0]], parts[1:])
