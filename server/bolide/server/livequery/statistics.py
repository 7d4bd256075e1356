"""What one live query costs, for operators of a node to look at."""

from dataclasses import dataclass

__all__ = ["LiveQueryStatistics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveQueryStatistics:
    """One live query at one moment; it holds no value of a selector or document.

    Attributes:
        collection: Name of the collection.
        selector: Its shape, every value as ``?``.
        sort: Its order; empty: none.
        skip: Documents left out at the start.
        limit: Most documents published; 0 is no limit.
        driver: How it is kept: ``index eq FIELD``, ``index range FIELD``, ``scan``, ``window`` or
            ``re-query``.
        reason: Why it is kept in this way.
        followers: Subscriptions that follow it.
        documents_published: Documents that a follower has.
        documents_held: Documents that it holds, those beyond a window included.
        changes_seen: Changes it was asked about.
        changes_told: Documents that entered, changed or left what is published.
        rereads: How often it was read again.
        matching_s: Time spent on changes, seconds.
    """

    collection: str
    selector: str
    sort: str
    skip: int
    limit: int
    driver: str
    reason: str
    followers: int
    documents_published: int
    documents_held: int
    changes_seen: int
    changes_told: int
    rereads: int
    matching_s: float
