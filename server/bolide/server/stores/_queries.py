"""Queries of the embedded stores: compiled once, then run over documents in memory."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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
from bolide.server.stores._database import Readable
from bolide.server.stores._errors import BAD_VALUE
from bolide.server.stores.base import Query

__all__ = [
    "MAX_QUERY_S",
    "Selection",
    "compile_count",
    "compile_distinct",
    "compile_projection",
    "compile_query",
    "query_errors",
]

MAX_QUERY_S: Final = 2.0
"""Longest time one query may look at documents, seconds: nothing else is done meanwhile."""
_TOO_LONG: Final = 50  # MongoDB's MaxTimeMSExpired

# Ids of these types are equal to a selector's exactly when their keys are.
_INDEXED_ID_TYPES: Final = (str, ObjectId, int, float, datetime)

_Candidates: TypeAlias = Callable[[Readable], Iterable[Document]]


@contextmanager
def query_errors() -> Generator[None]:
    """Turn what minimongo says into the error that the store port promises."""
    try:
        yield
    except MinimongoError as error:
        raise OperationFailure(str(error), BAD_VALUE) from error


class Selection:
    """The documents of a collection that match, in an order.

    Attributes:
        matcher: The compiled selector.
    """

    __slots__ = ("_candidates", "_sorter", "matcher")

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
        self._candidates = _candidates(collection, selector)

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
                _within_time(self._candidates(readable)),
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
    selection = Selection(query.collection, query.selector, query.sort)
    projection = None if query.projection is None else compile_projection(query.projection)

    def find(readable: Readable) -> Sequence[Document]:
        return selection.run(readable, skip=query.skip, limit=query.limit, projection=projection)

    return find


def compile_count(query: Query) -> Callable[[Readable], int]:
    """Return what counts the documents of a query.

    Raises:
        OperationFailure: If the query does not compile.
    """
    selection = Selection(query.collection, query.selector)

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
    ids = _ids(selector.get("_id"))
    if ids is None:
        return lambda readable: readable.documents(collection)
    keys = list(dict.fromkeys(map(key_of, ids)))

    def look_up(readable: Readable) -> Iterator[Document]:
        for key in keys:
            document = readable.document(collection, key)
            if document is not None:
                yield document

    return look_up


def _ids(wanted: Any) -> Sequence[Any] | None:
    """Return the ids that a selector's ``_id`` allows; None if only matching can tell."""
    ids: Sequence[Any] = (wanted,)
    if is_document(wanted):
        if wanted.keys() == {"$in"} and is_array(wanted["$in"]):
            ids = wanted["$in"]
        elif wanted.keys() == {"$eq"}:
            ids = (wanted["$eq"],)
    return ids if all(isinstance(value, _INDEXED_ID_TYPES) for value in ids) else None


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
