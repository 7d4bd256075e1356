"""Publication strategies: how much a session remembers of what it sent."""

from enum import Enum

__all__ = ["PublicationStrategy"]


class PublicationStrategy(Enum):
    """What the merge box keeps for one collection, as in Meteor's ``setPublicationStrategy``."""

    SERVER_MERGE = "SERVER_MERGE"
    """Views of several subscriptions are merged field by field; only differences are sent."""

    NO_MERGE = "NO_MERGE"
    """Ids are kept so that documents are removed at the end; subscriptions are not merged."""

    NO_MERGE_NO_HISTORY = "NO_MERGE_NO_HISTORY"
    """Nothing is kept: send and forget; nothing is removed at the end."""

    NO_MERGE_MULTI = "NO_MERGE_MULTI"
    """Counts which subscriptions use a document; every change is sent as it is."""
