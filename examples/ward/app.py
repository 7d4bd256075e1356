"""The ward board's server: what is published, and what may be done.

Everybody may do everything here (``public=True``): people and access rights come with accounts.
"""

from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Annotated, Any

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from bolide.server import App, Context, Cursor, MethodError
from ward.physiology import VitalSigns
from ward.seed import furnish
from ward.warning_score import warning_score

__all__ = ["Readings", "app", "beds", "notes", "patients", "vitals"]

app = App(pages=Path(__file__).with_name("page"))

beds = app.collection("beds")
"""``{_id, label, ward}``"""
patients = app.collection("patients")
"""``{_id, name, bed, ward}``"""
vitals = app.collection("vitals")
"""``{_id: patient, ward, heart_rate, respiration, saturation, systolic, diastolic, temperature,
score}``: the latest readings only."""
notes = app.collection("notes")
"""``{_id, patient, ward, text, at}``"""

_SHOWN_NOTES = 30


@with_config(ConfigDict(extra="forbid"))
class Readings(TypedDict):
    """What a monitor measures, units as in :class:`ward.physiology.VitalSigns`.

    The limits are those of the sensors: what is beyond is no measurement of anybody.
    """

    heart_rate: Annotated[int, Field(ge=0, le=350)]
    respiration: Annotated[int, Field(ge=0, le=120)]
    saturation: Annotated[int, Field(ge=0, le=100)]
    systolic: Annotated[int, Field(ge=0, le=350)]
    diastolic: Annotated[int, Field(ge=0, le=300)]
    temperature: Annotated[float, Field(ge=10, le=50)]


@app.on_startup
async def open_ward() -> None:
    """Furnish the ward when the first node starts; others that start with it wait."""
    await app.with_transaction(partial(furnish, beds, patients, notes))


@app.publish("ward.board", public=True)
async def board(ctx: Context, ward: str) -> list[Cursor]:
    """Publish all that the board of one ward shows."""
    return [
        beds.find({"ward": ward}),
        patients.find({"ward": ward}),
        vitals.find({"ward": ward}),
        notes.find({"ward": ward}, sort=[("at", -1)], limit=_SHOWN_NOTES),
    ]


@app.method("notes.add", public=True)
async def add_note(ctx: Context, patient: str, text: Annotated[str, Field(max_length=500)]) -> str:
    """Write a note; returns its id."""
    text = text.strip()
    if not text:
        raise MethodError("empty-note", "Write something into the note.")
    ward = (await _patient(patient))["ward"]
    note = {"patient": patient, "ward": ward, "text": text, "at": datetime.now(UTC)}
    return str((await notes.insert_one(note)).inserted_id)


@app.method("vitals.record", public=True)
async def record_vitals(ctx: Context, patient: str, readings: Readings) -> None:
    """Take what a monitor measured; the readings before are replaced."""
    if readings["diastolic"] >= readings["systolic"]:
        raise MethodError(
            "implausible", "The diastolic pressure must be below the systolic pressure."
        )
    ward = (await _patient(patient))["ward"]
    score = warning_score(VitalSigns(**readings))
    await vitals.update_one(
        {"_id": patient}, {"$set": {"ward": ward, **readings, "score": score}}, upsert=True
    )


# A document of the store: values without static types.
async def _patient(id: str) -> dict[str, Any]:
    patient = await patients.find_one({"_id": id})
    if patient is None:
        raise MethodError("not-found", "There is no such patient on the ward.")
    return patient
