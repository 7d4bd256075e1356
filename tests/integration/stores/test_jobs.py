"""The records of jobs: whoever decided by an old state of one writes nothing."""

import asyncio

import pytest

from bolide.server.jobs.job_store import JobStore
from bolide.server.jobs.record import BrokenRecord, JobRecord
from bolide.server.stores.base import Insert, Store
from bolide.server.stores.own_collections import JOBS

JOB = "ward.tidy_up"
DUE_MS = 300_000


def taken(record: JobRecord, holder: str) -> JobRecord:
    return record.taken(holder=holder, node="there", lease_s=30, due_ms=DUE_MS, now_ms=DUE_MS + 1)


def ended(record: JobRecord) -> JobRecord:
    return record.ended(mark_ms=DUE_MS + 1, seconds=0.5, outcome="ok")


@pytest.fixture
async def jobs(store: Store) -> JobStore:
    jobs = JobStore(store)
    await jobs.create(JOB, JobRecord.new(0))
    return jobs


async def test_a_record_is_made_once(jobs: JobStore) -> None:
    await jobs.create(JOB, JobRecord.new(77))
    assert await jobs.read(JOB) == JobRecord.new(0)
    assert await jobs.read("another") is None


async def test_a_record_is_read_as_it_was_written(jobs: JobStore) -> None:
    record = taken(JobRecord.new(0), "a")
    assert await jobs.replace(JOB, JobRecord.new(0), record)
    assert await jobs.read(JOB) == record
    assert await jobs.end(JOB, "a", ended(record))
    assert await jobs.read(JOB) == ended(record)


async def test_of_many_who_take_a_lease_at_once_one_has_it(jobs: JobStore) -> None:
    seen = JobRecord.new(0)
    holders = [f"holder {number}" for number in range(8)]
    got = await asyncio.gather(*(jobs.replace(JOB, seen, taken(seen, one)) for one in holders))
    assert got.count(True) == 1
    record = await jobs.read(JOB)
    assert record is not None
    assert record.holder == holders[got.index(True)]


async def test_a_sign_of_life_is_in_the_way_of_whoever_saw_none(jobs: JobStore) -> None:
    record = taken(JobRecord.new(0), "a")
    await jobs.replace(JOB, JobRecord.new(0), record)
    assert await jobs.renew(JOB, record.term, "a")
    assert not await jobs.replace(JOB, record, taken(record, "b"))
    renewed = await jobs.read(JOB)
    assert renewed is not None
    assert renewed.state == (1, 1)
    assert await jobs.replace(JOB, renewed, taken(renewed, "b"))


async def test_what_is_written_under_an_old_term_does_not_count(jobs: JobStore) -> None:
    first = taken(JobRecord.new(0), "a")
    second = taken(first, "b")
    await jobs.replace(JOB, JobRecord.new(0), first)
    await jobs.replace(JOB, first, second)
    assert not await jobs.renew(JOB, first.term, "a")
    assert not await jobs.end(JOB, "a", ended(first))
    assert await jobs.read(JOB) == second
    assert await jobs.end(JOB, "b", ended(second))
    record = await jobs.read(JOB)
    assert record is not None
    assert (record.runs, record.losses) == (1, 1)


async def test_an_end_that_is_written_again_counts_once(jobs: JobStore) -> None:
    record = taken(JobRecord.new(0), "a")
    await jobs.replace(JOB, JobRecord.new(0), record)
    await jobs.renew(JOB, record.term, "a")
    assert await jobs.end(JOB, "a", ended(record))
    assert await jobs.end(JOB, "a", ended(record))
    found = await jobs.read(JOB)
    assert found is not None
    assert (found.runs, found.holder) == (1, "")
    # A sign of life that comes late is none.
    assert not await jobs.renew(JOB, record.term, "a")


async def test_a_record_that_somebody_else_wrote_is_an_error(store: Store) -> None:
    await store.write(Insert(collection=JOBS, documents=[{"_id": JOB, "term": 1}]))
    with pytest.raises(BrokenRecord):
        await JobStore(store).read(JOB)
