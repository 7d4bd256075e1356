"""Ward app: the board shows one ward, and only plausible things get onto it."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bolide.core.errors import MethodError
from bolide.server.testing import TestClient, TestNode
from ward.app import app
from ward.seed import NOTES, PATIENTS

READINGS = {
    "heart_rate": 75, "respiration": 15, "saturation": 98, "systolic": 125, "diastolic": 80,
    "temperature": 36.8,
}  # fmt: skip


@pytest.fixture
async def nurse() -> AsyncIterator[TestClient]:
    async with TestNode(app) as node:
        yield await node.connect()


async def refusal(nurse: TestClient, method: str, *args: Any) -> MethodError:
    with pytest.raises(MethodError) as caught:
        await nurse.call(method, *args)
    return caught.value


async def test_board_shows_the_furnished_ward(nurse: TestClient) -> None:
    await nurse.subscribe("ward.board", "7")
    assert len(nurse.documents("beds")) == 12
    assert {patient["name"] for patient in nurse.documents("patients")} == set(PATIENTS)
    assert len(nurse.documents("notes")) == len(NOTES)
    beds = {bed["_id"] for bed in nurse.documents("beds")}
    assert all(patient["bed"] in beds for patient in nurse.documents("patients"))


async def test_board_of_another_ward_is_empty(nurse: TestClient) -> None:
    await nurse.subscribe("ward.board", "8")
    assert [nurse.documents(name) for name in ("beds", "patients", "notes")] == [[], [], []]


async def test_readings_appear_with_their_score(nurse: TestClient) -> None:
    await nurse.subscribe("ward.board", "7")
    assert await nurse.call("vitals.record", "p01", READINGS) is None
    await nurse.call("vitals.record", "p01", READINGS | {"saturation": 90})
    assert nurse.documents("vitals") == [
        {"_id": "p01", "ward": "7", **READINGS, "saturation": 90, "score": 3}
    ]


@pytest.mark.parametrize(
    ("readings", "field"),
    [
        ({"heart_rate": 351}, "heart_rate"),
        ({"saturation": -1}, "saturation"),
        ({"temperature": "warm"}, "temperature"),
        ({"respiration": 14.5}, "respiration"),
        ({"spirit": 1}, "*"),
    ],
)
async def test_what_is_no_measurement_is_refused_by_name(
    nurse: TestClient, readings: dict[str, Any], field: str
) -> None:
    error = await refusal(nurse, "vitals.record", "p01", READINGS | readings)
    assert error.error == 400
    assert f'"readings.{field}"' in str(error.reason)


async def test_missing_reading_is_refused(nurse: TestClient) -> None:
    error = await refusal(nurse, "vitals.record", "p01", {"heart_rate": 70})
    assert error.error == 400


async def test_pressures_in_the_wrong_order_are_refused(nurse: TestClient) -> None:
    error = await refusal(nurse, "vitals.record", "p01", READINGS | {"diastolic": 125})
    assert error.error == "implausible"


async def test_nobody_has_readings_or_notes_who_is_no_patient(nurse: TestClient) -> None:
    assert (await refusal(nurse, "vitals.record", "p99", READINGS)).error == "not-found"
    assert (await refusal(nurse, "notes.add", "p99", "Hello")).error == "not-found"


async def test_note_is_added_with_its_time(nurse: TestClient) -> None:
    await nurse.subscribe("ward.board", "7")
    id = await nurse.call("notes.add", "p02", "  Slept well. ")
    note = nurse.document("notes", id)
    assert note is not None
    assert (note["patient"], note["ward"], note["text"]) == ("p02", "7", "Slept well.")
    assert all(note["at"] >= other["at"] for other in nurse.documents("notes"))


async def test_only_the_latest_notes_are_shown(nurse: TestClient) -> None:
    await nurse.subscribe("ward.board", "7")
    for number in range(30):
        await nurse.call("notes.add", "p02", f"note {number}")
    assert {note["text"] for note in nurse.documents("notes")} == {
        f"note {number}" for number in range(30)
    }


@pytest.mark.parametrize(("text", "error"), [("  ", "empty-note"), ("x" * 501, 400)])
async def test_empty_and_endless_notes_are_refused(
    nurse: TestClient, text: str, error: str | int
) -> None:
    assert (await refusal(nurse, "notes.add", "p02", text)).error == error
