"""What jobs did and do, for operators of a node to look at."""

from dataclasses import dataclass

from bolide.server.jobs.keeper import JobKeeper

__all__ = ["JobStatistics", "statistics_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatistics:
    """One job, as the node saw it in the store last.

    Attributes:
        name: As it was registered.
        schedule: Its times.
        state: ``runs here``, ``runs`` on another node, ``waits`` for its time, or ``unknown``
            until the store told.
        node: Who runs it, or ran it last; empty: nobody did.
        runs: Runs that ended, on all nodes.
        errors: Those of them that raised.
        losses: Runs that ended with their node, or with its lease.
        seconds: What the last run that ended took.
        outcome: How the last run ended; empty: none did.
        running_s: Since when it runs, seconds; None: it does not.
        next_s: Until its next time, seconds; 0: it is due; None: it runs, or is unknown.
    """

    name: str
    schedule: str
    state: str
    node: str
    runs: int
    errors: int
    losses: int
    seconds: float
    outcome: str
    running_s: float | None
    next_s: float | None


def statistics_of(keeper: JobKeeper, now_ms: int) -> JobStatistics:
    """Return what a node knows of a job.

    Args:
        keeper: Of the job.
        now_ms: The time of day, UTC milliseconds.
    """
    job, record = keeper.job, keeper.record
    if record is None:
        return JobStatistics(
            name=job.name, schedule=job.schedule.text, state="unknown", node="", runs=0, errors=0,
            losses=0, seconds=0.0, outcome="", running_s=None, next_s=None,
        )  # fmt: skip
    running_s = next_s = None
    if keeper.is_running or record.is_held:
        state = "runs here" if keeper.is_running else "runs"
        running_s = max(0, now_ms - record.started_ms) / 1000
    else:
        state = "waits"
        is_due = record.is_unfinished
        due_ms = now_ms if is_due else job.schedule.due_ms(record.mark_ms, now_ms)
        next_s = max(0, due_ms - now_ms) / 1000
    return JobStatistics(
        name=job.name,
        schedule=job.schedule.text,
        state=state,
        node=record.node,
        runs=record.runs,
        errors=record.errors,
        losses=record.losses,
        seconds=record.seconds,
        outcome=record.outcome,
        running_s=running_s,
        next_s=next_s,
    )
