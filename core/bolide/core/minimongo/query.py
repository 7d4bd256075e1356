"""Queries: which documents are found, in which order, and what is shown of them."""

from collections.abc import Iterable
from itertools import islice

from bolide.core.minimongo.matcher import Matcher
from bolide.core.minimongo.projection import Projection
from bolide.core.minimongo.sorter import Sorter
from bolide.core.values import Document

__all__ = ["run_query"]


def run_query(
    documents: Iterable[Document],
    *,
    matcher: Matcher,
    sorter: Sorter | None = None,
    skip: int = 0,
    limit: int = 0,
    projection: Projection | None = None,
) -> list[Document]:
    """Find documents.

    Args:
        documents: All that there are, in the order that counts when nothing else gives one.
        matcher: Which of them are meant; a ``$near`` also orders them, nearest first.
        sorter: Their order, instead of the distance; documents that are a tie stay as they came.
        skip: How many to leave out at the beginning.
        limit: How many to return at most; 0 for all. The sign does not count, as in MongoDB.
        projection: What to show of them.

    Returns:
        The documents given, or what is shown of them; they are shared, so do not change them.

    Raises:
        MinimongoError: If a regular expression takes too long, or the documents have no order.
    """
    found: Iterable[Document]
    if matcher.has_near and sorter is None:
        found = _by_distance(documents, matcher)
    else:
        found = filter(matcher.matches, documents)
    if sorter is not None:
        found = sorted(found, key=sorter.key)
    stop = skip + abs(limit) if limit else None
    page = islice(found, skip, stop)
    return list(page) if projection is None else [projection.apply(item) for item in page]


def _by_distance(documents: Iterable[Document], matcher: Matcher) -> list[Document]:
    found: list[tuple[float, Document]] = []
    for document in documents:
        match = matcher.match(document)
        if match.matched and match.distance is not None:
            found.append((match.distance, document))
    found.sort(key=_distance)
    return [document for _, document in found]


def _distance(found: tuple[float, Document]) -> float:
    return found[0]
