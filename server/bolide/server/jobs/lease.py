"""What a node does about one job next: a decision from what it saw and the time, both given.

A lease is silence that is measured, not a time of day that is compared. Whoever looks at a record
that is held waits, by its own monotonic clock, until the record has not changed for long enough
since it saw it first; the holder counts, by its own, from before it sent what it last wrote. So
the clocks of two nodes may differ by anything; only their speeds must be about the same. The time
of day says when a job is due, never whose it is.

All parts of a lease follow from its length, with ``s``, ``c`` and ``o`` for when the holder sent
its last sign of life, when the store had it and when another node saw it (``s <= c <= o``):

- the holder shows that it lives every 1/6 of the lease, and cancels its run at ``s`` + 4/6;
- another node looks every 1/12, so ``o <= c`` + 1/12 while the store answers, and takes the job
  at ``o`` + 5/6 if nothing changed since: after the holder stopped, and within the lease.

What a node writes about a job names the state of the record that it decided by. A node that is
wrong about it, because it was stopped or read something old, writes nothing.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from bolide.server.jobs.record import JobRecord
from bolide.server.jobs.schedule import Schedule

__all__ = [
    "MAX_STARTS",
    "Change",
    "Create",
    "LeaseTimes",
    "Look",
    "Now",
    "Sight",
    "Step",
    "Take",
    "Wait",
    "decide",
]

MAX_STARTS: Final = 3
"""How often a run is begun for one time, if each time its node dies over it."""

MAX_WAIT_S: Final = 60.0
"""How long a node trusts its reckoning of when a job is due: the time of day may be set."""

MAX_AHEAD_MS: Final = 60_000
"""How far in the future a mark may be, milliseconds; beyond it, a wrong clock wrote it."""


@dataclass(frozen=True, slots=True)
class LeaseTimes:
    """The parts of a lease.

    Attributes:
        lease_s: Its length, seconds: a lost node's job runs elsewhere within it.
    """

    lease_s: float

    @property
    def renew_s(self) -> float:
        """How often the holder shows that it lives, seconds."""
        return self.lease_s / 6

    @property
    def give_up_s(self) -> float:
        """After how much silence the holder stops, seconds."""
        return self.lease_s * 4 / 6

    @property
    def take_s(self) -> float:
        """After how much silence another node takes the job, seconds."""
        return self.lease_s * 5 / 6

    @property
    def look_s(self) -> float:
        """How often another node looks, seconds."""
        return self.lease_s / 12


@dataclass(frozen=True, slots=True)
class Sight:
    """A record as a node saw it.

    Attributes:
        record: None: there is none.
        since: When it was first seen in this state, monotonic time, seconds.
        looked_at: When it was last read, monotonic time, seconds.
    """

    record: JobRecord | None
    since: float
    looked_at: float

    def then(self, record: JobRecord | None, now: float) -> "Sight":
        """Return what is seen after another look, whose answer came ``now``."""
        known, new = self.record, record
        is_same = known is not None and new is not None and known.state == new.state
        return Sight(record, self.since if is_same else now, now)


@dataclass(frozen=True, slots=True)
class Now:
    """The time.

    Attributes:
        monotonic_s: By which silence is measured, seconds.
        wall_ms: The time of day, UTC milliseconds.
    """

    monotonic_s: float
    wall_ms: int


@dataclass(frozen=True, slots=True)
class Wait:
    """Do nothing before ``until``, monotonic time, seconds; then decide again."""

    until: float


@dataclass(frozen=True, slots=True)
class Look:
    """Read the record."""


@dataclass(frozen=True, slots=True)
class Create:
    """Write the first record."""

    record: JobRecord


@dataclass(frozen=True, slots=True)
class Change:
    """Write another record, if it is still the one that was seen, and say why."""

    before: JobRecord
    after: JobRecord
    why: str


@dataclass(frozen=True, slots=True)
class Take:
    """Take the lease, if the record is still the one that was seen, and run the job."""

    before: JobRecord
    after: JobRecord


Step: TypeAlias = Wait | Look | Create | Change | Take


def decide(
    schedule: Schedule, sight: Sight | None, now: Now, times: LeaseTimes, holder: str, node: str
) -> Step:
    """Return what to do about a job that this process does not run.

    Args:
        schedule: The job's times.
        sight: What was seen of its record; None: nothing yet.
        now: The time.
        times: The parts of the lease that this node would take.
        holder: The id of this process.
        node: The name of this node.
    """
    if sight is None:
        return Look()
    record = sight.record
    if record is None:
        return Create(JobRecord.new(now.wall_ms))
    # This process runs nothing: it took the lease, and the answer was lost.
    if record.is_held and record.holder != holder:
        held = LeaseTimes(record.lease_s)
        free_at = sight.since + held.take_s
        look_at = sight.looked_at + held.look_s
        if now.monotonic_s < free_at:
            return Look() if now.monotonic_s >= look_at else Wait(min(free_at, look_at))
        if record.starts >= MAX_STARTS:
            return Change(record, record.given_up(_after_loss(schedule, record, now)), "given up")
    if record.mark_ms > now.wall_ms + MAX_AHEAD_MS:
        return Change(record, record.marked(now.wall_ms), "marked in the future")
    due_ms = record.due_ms
    if not record.is_unfinished:
        due_ms = schedule.due_ms(record.mark_ms, now.wall_ms)
        wait_ms = due_ms - now.wall_ms
        if wait_ms > 0:
            return Wait(now.monotonic_s + min(wait_ms / 1000, MAX_WAIT_S))
    after = record.taken(
        holder=holder, node=node, lease_s=times.lease_s, due_ms=due_ms, now_ms=now.wall_ms
    )
    return Take(record, after)


def _after_loss(schedule: Schedule, record: JobRecord, now: Now) -> int:
    """Return the mark after a run that was lost for the last time."""
    return schedule.mark_ms(record.due_ms, record.due_ms, max(record.due_ms, now.wall_ms))
