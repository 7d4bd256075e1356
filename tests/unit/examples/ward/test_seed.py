"""Seed: the ward is furnished once, and what people changed stays."""

from bolide.server.stores.memory import MemoryStore
from bolide.server.testing import TestNode
from ward.app import app, beds, notes, patients
from ward.seed import furnish


async def test_furnishing_again_changes_nothing() -> None:
    async with TestNode(app):
        before = [await one.find().to_list() for one in (beds, patients, notes)]
        await furnish(beds, patients, notes)
        assert [await one.find().to_list() for one in (beds, patients, notes)] == before


async def test_what_somebody_changed_stays() -> None:
    async with TestNode(app, store=MemoryStore()):
        await patients.update_one({"_id": "p01"}, {"$set": {"bed": "7-12"}})
        await furnish(beds, patients, notes)
        patient = await patients.find_one("p01")
        assert patient is not None
        assert patient["bed"] == "7-12"


async def test_every_patient_has_a_bed_of_his_own() -> None:
    async with TestNode(app):
        taken = [patient["bed"] async for patient in patients.find()]
        assert len(set(taken)) == len(taken)
        assert set(taken) < {bed["_id"] async for bed in beds.find()}
