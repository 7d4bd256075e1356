"""The error of queries, sorts, projections and modifiers that cannot work."""

from typing import ClassVar

from bolide.core.errors import BolideError

__all__ = ["MinimongoError"]


class MinimongoError(BolideError):
    """A selector, sort, projection or modifier that does not compile, or does not fit a document.

    The text names operators and paths, never values of documents.
    """

    code: ClassVar[str] = "minimongo-error"
