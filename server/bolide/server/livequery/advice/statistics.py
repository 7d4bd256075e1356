"""What one live query costs, for operators of a node to look at."""

from dataclasses import dataclass

__all__ = ["LiveQueryStatistics"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveQueryStatistics:
    """One live query at one moment; it holds no value of a selector or document.

    Attributes:
        number: Its own, as long as the node runs.
        collection: Name of the collection.
        selector: Its shape, every value as ``?``.
        sort: Its order; empty: none.
        has_skip: Documents are left out at the start; how many is a client's as often as not.
        has_limit: There is a most of documents published.
        is_polled: Whether the database is asked again and again, instead of the feed followed.
        driver: How it is kept: ``index eq FIELD``, ``index range FIELD``, ``scan``, ``window`` or
            ``re-query`` by the feed; ``polled``.
        reason: Why it is kept in this way; of a polled one the operator, ``aggregation``, or the
            kind of its collection, such as ``capped``.
        state: ``live``, or why followers have to wait, in words.
        followers: Subscriptions that follow it.
        in_step: How many of them get shared packets straight to their sockets.
        documents_published: Documents that a follower has.
        documents_held: Documents that it holds, those beyond a window included.
        changes_seen: Changes it was asked about.
        changes_told: Documents that entered, changed or left what is published.
        changes_waiting: Changes kept until they can be taken.
        rereads: How often it was read again.
        reread_because: Why it was last; empty: it never was.
        matching_s: Time spent on changes, seconds.
        reading_s: Time that its readings took, waiting for the store included, seconds.
        advice: The index that would help, and why; empty: none would.
    """

    number: int
    collection: str
    selector: str
    sort: str
    has_skip: bool
    has_limit: bool
    is_polled: bool
    driver: str
    reason: str
    state: str
    followers: int
    in_step: int
    documents_published: int
    documents_held: int
    changes_seen: int
    changes_told: int
    changes_waiting: int
    rereads: int
    reread_because: str
    matching_s: float
    reading_s: float
    advice: str = ""

    @property
    def cost_s(self) -> float:
        """All time spent on it, seconds."""
        return self.matching_s + self.reading_s
