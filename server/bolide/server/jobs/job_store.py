"""The records of jobs in a store."""

from pymongo.errors import DuplicateKeyError

from bolide.server.jobs.record import JobRecord
from bolide.server.stores.base import Insert, Query, Store, Update
from bolide.server.stores.own_collections import JOBS

__all__ = ["JobStore"]


class JobStore:
    """Reads records, and writes only over what was read; errors are the store's.

    The ``_id`` of a record is the job's name.

    Args:
        store: Open.
    """

    def __init__(self, store: Store) -> None:
        """Keep the store."""
        self._store = store

    async def read(self, job: str) -> JobRecord | None:
        """Return the record of a job, None if there is none.

        Raises:
            BrokenRecord: If it cannot be read.
        """
        found = await self._store.read(Query(collection=JOBS, selector={"_id": job}))
        return JobRecord.of_document(found.documents[0]) if found.documents else None

    async def create(self, job: str, record: JobRecord) -> None:
        """Write the first record, unless somebody did."""
        document = {"_id": job, **record.to_fields()}
        try:
            await self._store.write(Insert(collection=JOBS, documents=[document]))
        except DuplicateKeyError:
            return

    async def replace(self, job: str, before: JobRecord, after: JobRecord) -> bool:
        """Write a record over the one that was seen; tells whether it was still that one."""
        selector = {"_id": job, "term": before.term, "beat": before.beat}
        update = Update(collection=JOBS, selector=selector, modifier={"$set": after.to_fields()})
        return (await self._store.write(update)).matched > 0

    async def renew(self, job: str, term: int, holder: str) -> bool:
        """Show that the holder of a term lives; tells whether the term is still its own."""
        selector = {"_id": job, "term": term, "holder": holder}
        update = Update(collection=JOBS, selector=selector, modifier={"$inc": {"beat": 1}})
        return (await self._store.write(update)).matched > 0

    async def end(self, job: str, holder: str, after: JobRecord) -> bool:
        """Write what became of the holder's run; tells whether it counts.

        It does not if the term is over. To write it again, because an answer was lost, changes
        nothing and tells the same.
        """
        selector = {"_id": job, "term": after.term, "holder": holder}
        fields = after.to_fields()
        # How often the lease was renewed is known to the store only.
        del fields["beat"]
        modifier = {"$set": fields, "$inc": {"beat": 1}}
        update = Update(collection=JOBS, selector=selector, modifier=modifier)
        if (await self._store.write(update)).matched:
            return True
        record = await self.read(job)
        return record is not None and record.term == after.term
