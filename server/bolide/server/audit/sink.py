"""The audit sink as a port: where records of access go."""

from dataclasses import dataclass, field
from typing import Literal, Protocol

__all__ = ["AuditRecord", "AuditSink"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditRecord:
    """One access, or one attempt.

    Attributes:
        who: Id of the person, None if nobody was logged in.
        what: What was done, such as ``"method patients.move"``.
        when_ms: When, UTC milliseconds since 1970.
        where: Where from: the address as the node sees it; None for the server itself.
        why: The reason that was given, None if none was.
        outcome: How it ended.
        collection: Name of the collection, None if it was not about one.
        ids: Ids of the documents as DDP writes them; pseudonyms, never names of people.
        fields: Names of the fields; never their values.
    """

    who: str | None
    what: str
    when_ms: int
    outcome: Literal["allowed", "denied", "failed"]
    where: str | None = None
    why: str | None = None
    collection: str | None = None
    ids: tuple[str, ...] = field(default=())
    fields: tuple[str, ...] = field(default=())


class AuditSink(Protocol):
    """Keep records so that nobody can lose or change them unnoticed."""

    async def record(self, record: AuditRecord) -> None:
        """Keep one; returns when it is durable.

        Raises:
            OSError: If it could not be kept; what it is about must not go on.
        """
        ...

    async def close(self) -> None:
        """Let go of everything, after what was handed in is kept."""
        ...
