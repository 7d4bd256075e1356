"""The error of queries, sorts, projections and modifiers that cannot work."""

from typing import ClassVar

from bolide.core.errors import BolideError

__all__ = ["MatchTimeout", "MinimongoError"]


class MinimongoError(BolideError):
    """A selector, sort, projection or modifier that does not compile, or does not fit a document.

    The text names operators and paths, never values of documents.
    """

    code: ClassVar[str] = "minimongo-error"


class MatchTimeout(MinimongoError):
    """Matching a document took too long."""

    def __init__(self, limit_s: float) -> None:
        """Keep the limit.

        Args:
            limit_s: Longest time one regular expression may search in one text, seconds.
        """
        super().__init__(limit_s)
        self.limit_s = limit_s

    def __str__(self) -> str:
        """Say what to do."""
        return (
            f"A regular expression took longer than {self.limit_s:g} s on one text;"
            " write one that has fewer ways to match."
        )
