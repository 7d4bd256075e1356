"""What can be wrong with a join; each error ends the subscription and is explained in the log."""

from typing import ClassVar

from bolide.core.errors import LocalProtocolError
from bolide.server.logging.explained import Explained

__all__ = [
    "ChildFailed",
    "FieldNotShown",
    "JoinError",
    "JoinTooDeep",
    "JoinTooWide",
    "UnmergedChild",
    "WrongChild",
]


class JoinError(Explained, LocalProtocolError):
    """A join that cannot be published."""

    code: ClassVar[str] = "join"


class ChildFailed(JoinError):
    """A child function raised an exception, which is the cause of this one."""

    code: ClassVar[str] = "child-failed"

    def __init__(self, function: str) -> None:
        """Keep where it is written.

        Args:
            function: Module and qualified name.
        """
        super().__init__(function)
        self.function = function

    def __str__(self) -> str:
        """Say which one it was."""
        return f"The child function {self.function} failed."


class WrongChild(JoinError):
    """A child function returned what cannot be published."""

    code: ClassVar[str] = "wrong-child"

    def __init__(self, function: str, outcome: str) -> None:
        """Keep what it was.

        Args:
            function: Module and qualified name.
            outcome: In words, without any data.
        """
        super().__init__(function, outcome)
        self.function = function
        self.outcome = outcome

    def __str__(self) -> str:
        """Say what it should be."""
        return (
            f"The child function {self.function} returned {self.outcome}:"
            " it is a plain function and returns a cursor or None."
        )


class FieldNotShown(JoinError):
    """A child function read a field that the cursor of its parent does not publish."""

    code: ClassVar[str] = "field-not-shown"

    def __init__(self, collection: str, field: str) -> None:
        """Keep what was read.

        Args:
            collection: Of the parent.
            field: Name of the top-level field.
        """
        super().__init__(collection, field)
        self.collection = collection
        self.field = field

    def __str__(self) -> str:
        """Say what is missing where."""
        return (
            f"A child function read the field {self.field} of {self.collection}, which the"
            " projection of that cursor leaves out: children see what is published."
        )


class JoinTooDeep(JoinError):
    """Children of children of children, beyond the limit; a cycle of functions ends here, too."""

    code: ClassVar[str] = "join-too-deep"

    def __init__(self, collection: str, limit: int) -> None:
        """Keep how deep it was.

        Args:
            collection: Of the cursor that must not have children any more.
            limit: ``max_join_depth``.
        """
        super().__init__(collection, limit)
        self.collection = collection
        self.limit = limit

    def __str__(self) -> str:
        """Say which limit it is."""
        return (
            f"A cursor on {self.collection} has children {self.limit + 1} levels below the"
            f" published one; max_join_depth is {self.limit}."
        )


class JoinTooWide(JoinError):
    """One subscription would follow more live queries than the limit."""

    code: ClassVar[str] = "join-too-wide"

    def __init__(self, limit: int) -> None:
        """Keep the limit.

        Args:
            limit: ``max_join_queries``.
        """
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        """Say which limit it is, and what makes many."""
        return (
            f"A subscription needs more than {self.limit} live queries (max_join_queries) for its"
            " children; each child with a sort, a limit or a skip is one of its own."
        )


class UnmergedChild(JoinError):
    """A child is published into a collection whose documents the sessions do not count."""

    code: ClassVar[str] = "unmerged-child"

    def __init__(self, collection: str, strategy: str) -> None:
        """Keep where.

        Args:
            collection: Of the child.
            strategy: Name of its publication strategy.
        """
        super().__init__(collection, strategy)
        self.collection = collection
        self.strategy = strategy

    def __str__(self) -> str:
        """Say which strategies work."""
        return (
            f"A child is published into {self.collection}, whose strategy is {self.strategy}:"
            " children need SERVER_MERGE or NO_MERGE_MULTI."
        )
