"""What a node does next about a job, from what it saw and the time alone."""

import pytest

from bolide.server.jobs.lease import (
    MAX_AHEAD_MS,
    MAX_STARTS,
    MAX_WAIT_S,
    Change,
    Create,
    LeaseTimes,
    Look,
    Now,
    Sight,
    Step,
    Take,
    Wait,
    decide,
)
from bolide.server.jobs.record import BrokenRecord, JobRecord
from bolide.server.jobs.schedule import Cron, Every, Schedule

TIMES = LeaseTimes(12)
SECOND_MS = 1_000
EVERY = Every.of(minutes=5)
DUE_MS = 300 * SECOND_MS
NEW = JobRecord.new(0)


def next_step(
    sight: Sight | None, now_s: float, wall_ms: float, schedule: Schedule = EVERY
) -> Step:
    return decide(schedule, sight, Now(now_s, round(wall_ms)), TIMES, "me", "here")


def seen(record: JobRecord | None, at: float = 0) -> Sight:
    return Sight(record, at, at)


def held(holder: str = "other", lease_s: float = 12) -> JobRecord:
    """Return a record whose run began at its time."""
    return taken(JobRecord.new(0), holder, lease_s)


def taken(record: JobRecord, holder: str, lease_s: float = 12) -> JobRecord:
    return record.taken(holder=holder, node="there", lease_s=lease_s, due_ms=DUE_MS, now_ms=DUE_MS)


def test_the_parts_of_a_lease_keep_their_distance() -> None:
    # Signs of life reach whoever looks before the holder stops, and that before anybody takes.
    assert TIMES.renew_s * 3 < TIMES.give_up_s
    assert TIMES.give_up_s < TIMES.take_s
    assert TIMES.take_s + TIMES.look_s < TIMES.lease_s


def test_it_looks_first() -> None:
    assert next_step(None, 0, 0) == Look()


def test_a_job_that_nobody_knows_is_due_a_period_after_it_was_seen() -> None:
    step = next_step(seen(None), 0, 5 * SECOND_MS)
    assert step == Create(JobRecord.new(5 * SECOND_MS))


def test_it_waits_until_the_job_is_due_and_reckons_again_on_the_way() -> None:
    assert next_step(seen(NEW), 7, DUE_MS - 2 * SECOND_MS) == Wait(9)
    assert next_step(seen(NEW), 7, 0) == Wait(7 + MAX_WAIT_S)


def test_a_job_that_is_due_is_taken_in_a_new_term() -> None:
    step = next_step(seen(NEW), 7, DUE_MS + 40)
    assert isinstance(step, Take)
    assert step.before == NEW
    after = step.after
    assert (after.term, after.holder, after.node, after.lease_s) == (1, "me", "here", 12)
    assert (after.due_ms, after.started_ms, after.losses) == (DUE_MS, DUE_MS + 40, 0)


def test_a_job_that_runs_elsewhere_is_looked_at_again_and_again() -> None:
    sight = seen(held(), 100)
    assert next_step(sight, 100, DUE_MS) == Wait(101)
    assert next_step(sight, 101, DUE_MS) == Look()


def test_a_sign_of_life_begins_the_silence_anew() -> None:
    record = held()
    sight = seen(record, 100).then(record, 104)
    assert (sight.since, sight.looked_at) == (100, 104)
    assert sight.then(record.marked(0), 109) == Sight(record.marked(0), 109, 109)


def test_a_silent_node_loses_its_job_whatever_the_time_of_day_is() -> None:
    record = held()
    sight = Sight(record, 100, 109.5)
    assert next_step(sight, 109.9, DUE_MS) == Wait(110)
    for wall_ms in (0, DUE_MS, DUE_MS * 100):
        step = next_step(sight, 110, wall_ms)
        assert isinstance(step, Take)
        assert (step.after.term, step.after.holder) == (2, "me")
        assert (step.after.due_ms, step.after.losses, step.after.outcome) == (DUE_MS, 1, "lost")


def test_the_lease_that_was_taken_counts_and_not_ones_own() -> None:
    sight = Sight(held(lease_s=120), 100, 109.5)
    assert next_step(sight, 109.5, DUE_MS) == Wait(119.5)


def test_a_lease_of_our_own_that_nothing_runs_under_is_taken_again_at_once() -> None:
    step = next_step(seen(held("me"), 100), 100, DUE_MS)
    assert isinstance(step, Take)
    assert (step.after.term, step.after.losses) == (2, 0)


def test_a_run_that_was_broken_off_begins_again_at_once_even_without_catching_up() -> None:
    cron = Cron.of("5 * * * *", "UTC", catch_up=False)
    record = held().released()
    assert not record.is_held
    step = next_step(seen(record), 0, DUE_MS * 3, cron)
    assert isinstance(step, Take)
    assert (step.after.due_ms, step.after.starts, step.after.losses) == (DUE_MS, 1, 0)


def test_a_time_over_which_nodes_die_is_given_up() -> None:
    record = held()
    for number in range(1, MAX_STARTS):
        record = taken(record, f"other {number}")
    step = next_step(Sight(record, 100, 110), 110, DUE_MS + SECOND_MS)
    assert isinstance(step, Change)
    assert (step.why, step.after.term) == ("given up", record.term + 1)
    assert (step.after.losses, step.after.starts, step.after.is_held) == (MAX_STARTS, 0, False)
    assert next_step(seen(step.after), 0, DUE_MS + SECOND_MS) == Wait(MAX_WAIT_S)
    assert isinstance(next_step(seen(step.after), 0, 2 * DUE_MS), Take)


def test_a_mark_that_a_wrong_clock_set_is_set_to_now() -> None:
    record = NEW.marked(MAX_AHEAD_MS + 1)
    step = next_step(seen(record), 0, 0)
    assert isinstance(step, Change)
    assert step.after.mark_ms == 0
    assert step.after.state != record.state
    assert next_step(seen(NEW.marked(MAX_AHEAD_MS)), 0, 0) == Wait(MAX_WAIT_S)


def test_a_record_is_read_as_it_was_written() -> None:
    record = held().ended(mark_ms=DUE_MS, seconds=0.25, outcome="error")
    assert JobRecord.of_document({"_id": "job", **record.to_fields()}) == record
    assert (record.runs, record.errors, record.outcome, record.seconds) == (1, 1, "error", 0.25)


def test_a_record_that_somebody_else_wrote_is_an_error_without_what_it_says() -> None:
    with pytest.raises(BrokenRecord) as broken:
        JobRecord.of_document({"_id": "job", "term": "Anna Berg"})
    assert "Anna" not in str(broken.value)
