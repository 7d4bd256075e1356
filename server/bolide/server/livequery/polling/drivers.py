"""What keeps a live query up to date, and why: in words for people."""

from bolide.core.minimongo.predicates import Conjunct, Range
from bolide.server.livequery.advice.shape import path_shape
from bolide.server.livequery.result import QueryResult

__all__ = ["feed_driver"]


def feed_driver(result: QueryResult, why: str, conjunct: Conjunct | None) -> tuple[str, str]:
    """Return driver and reason of a query that the feed keeps up to date.

    Args:
        result: How its documents are kept.
        why: Why they are not simply matched; empty if they are.
        conjunct: What changes find it by.
    """
    if conjunct is None:
        found_by, because = "scan", "no equality and no range that could be indexed"
    else:
        has_range = any(isinstance(predicate, Range) for predicate in conjunct)
        paths = dict.fromkeys(path_shape(predicate.path) for predicate in conjunct)
        found_by = f"index {'range' if has_range else 'eq'} {' '.join(paths)}".rstrip()
        because = "no equality, but a range" if has_range else "asks for values of a field"
    if not why:
        return found_by, because
    return "re-query" if result.is_requeried else "window", f"{why}; changes found by {found_by}"
