"""What the store knows of a job: its lease, and what its runs came to.

A record is never changed in place. Each change raises ``term`` or ``beat``, so that the pair names
one state of the record, and whoever writes says which state it read.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec.structs import replace

from bolide.core.errors import StateError

__all__ = ["BrokenRecord", "JobRecord", "Outcome"]

Outcome: TypeAlias = Literal["", "ok", "error", "lost"]
"""How the last run ended; empty: there was none. ``lost``: with its node, or with its lease."""


class BrokenRecord(StateError):
    """A record that cannot be read: somebody else wrote it."""

    code: ClassVar[str] = "broken-job-record"


class JobRecord(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One job; the times of day are those of the node that wrote them.

    Attributes:
        term: Raised by whoever takes the lease; what is written under a lower one does not count.
        beat: Raised by each other change, above all by the holder to show that it lives.
        mark_at: Up to when the schedule's times are accounted for.
        holder: Whose lease it is, an id of the process; empty: nobody's.
        node: Name of the node that holds it or held it last; empty: none did.
        lease_s: How long the holder may be silent, seconds.
        due_at: What time it runs or ran for; if it never did, when the record was made.
        started_at: When this run or the last one began; as ``due_at`` if there was none.
        is_broken_off: The run was broken off in good order and is to be begun again.
        starts: How often the run for this time was begun and lost.
        runs: Runs that ended.
        errors: Those of them that raised.
        losses: Runs that ended with their node, or with its lease.
        seconds: What the last run that ended took.
        outcome: How the last run ended.
    """

    term: int = 0
    beat: int = 0
    mark_at: datetime
    holder: str = ""
    node: str = ""
    lease_s: float = 0.0
    due_at: datetime
    started_at: datetime
    is_broken_off: bool = False
    starts: int = 0
    runs: int = 0
    errors: int = 0
    losses: int = 0
    seconds: float = 0.0
    outcome: Outcome = ""

    @property
    def state(self) -> tuple[int, int]:
        """What names this state of the record."""
        return self.term, self.beat

    @property
    def is_held(self) -> bool:
        """Somebody runs the job, or died over it."""
        return self.holder != ""

    @property
    def mark_ms(self) -> int:
        """The mark, UTC milliseconds."""
        return _ms(self.mark_at)

    @property
    def due_ms(self) -> int:
        """What time it runs or ran for, UTC milliseconds."""
        return _ms(self.due_at)

    @property
    def started_ms(self) -> int:
        """When this run or the last one began, UTC milliseconds."""
        return _ms(self.started_at)

    @property
    def is_unfinished(self) -> bool:
        """A run was begun and did not come to its end."""
        return self.is_held or self.is_broken_off

    @classmethod
    def new(cls, now_ms: int) -> "JobRecord":
        """Return the record of a job that never ran."""
        return cls(mark_at=_date(now_ms), due_at=_date(now_ms), started_at=_date(now_ms))

    def taken(
        self, *, holder: str, node: str, lease_s: float, due_ms: int, now_ms: int
    ) -> "JobRecord":
        """Return the record with the lease in these hands; what another one ran is lost."""
        is_lost = self.holder not in ("", holder)
        return replace(
            self,
            term=self.term + 1,
            beat=0,
            holder=holder,
            node=node,
            lease_s=lease_s,
            due_at=_date(due_ms),
            started_at=_date(now_ms),
            is_broken_off=False,
            starts=self.starts + 1,
            losses=self.losses + is_lost,
            outcome="lost" if is_lost else self.outcome,
        )

    def ended(self, *, mark_ms: int, seconds: float, outcome: Outcome) -> "JobRecord":
        """Return the record after the holder's run came to its end."""
        return replace(
            self,
            beat=self.beat + 1,
            mark_at=_date(mark_ms),
            holder="",
            starts=0,
            runs=self.runs + 1,
            errors=self.errors + (outcome == "error"),
            seconds=seconds,
            outcome=outcome,
        )

    def released(self) -> "JobRecord":
        """Return the record after the holder broke off its run, for another one to begin it."""
        return replace(
            self, beat=self.beat + 1, holder="", is_broken_off=True, starts=self.starts - 1
        )

    def given_up(self, mark_ms: int) -> "JobRecord":
        """Return the record after a time whose runs were all lost."""
        return replace(
            self,
            term=self.term + 1,
            beat=0,
            mark_at=_date(mark_ms),
            holder="",
            starts=0,
            losses=self.losses + 1,
            outcome="lost",
        )

    def marked(self, mark_ms: int) -> "JobRecord":
        """Return the record with another mark."""
        return replace(self, beat=self.beat + 1, mark_at=_date(mark_ms))

    # Values of a document.
    def to_fields(self) -> dict[str, Any]:
        """Return what is stored, without the ``_id``."""
        fields: dict[str, Any] = msgspec.to_builtins(self, builtin_types=(datetime,))
        return fields

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "JobRecord":
        """Read what is stored.

        Raises:
            BrokenRecord: If it is no record.
        """
        try:
            return msgspec.convert(document, cls)
        except msgspec.ValidationError as error:
            raise BrokenRecord("The record of a job cannot be read.") from error


def _date(wall_ms: int) -> datetime:
    return datetime.fromtimestamp(wall_ms / 1000, UTC)


def _ms(time: datetime) -> int:
    return round(time.timestamp() * 1000)
