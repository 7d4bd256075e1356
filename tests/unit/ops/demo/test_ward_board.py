"""Ward board: every bed in its order, every patient with the latest signs."""

import asyncio
import re
from datetime import UTC, datetime
from io import StringIO

import pytest
from rich.console import Console

from bolide.client import connect
from bolide.core.values import Document
from bolide.ops.demo.ward_board import WardLines, draw_ward
from bolide.ops.node.listener import bind, url_of
from bolide.ops.node.node_service import node_running
from bolide.ops.race import first_of
from bolide.server import Settings
from ward.app import app
from ward.monitor import Gateway

SIGNS = {
    "heart_rate": 75, "respiration": 15, "saturation": 98, "systolic": 125, "diastolic": 80,
    "temperature": 36.8,
}  # fmt: skip
BEDS: list[Document] = [{"_id": f"7-0{n}", "label": f"Bed {n}", "ward": "7"} for n in (2, 1, 3, 4)]
PATIENTS: list[Document] = [
    {"_id": "p1", "name": "Ada", "bed": "7-01", "ward": "7"},
    {"_id": "p2", "name": "Bruno\x1b[31m", "bed": "7-02", "ward": "7"},
    {"_id": "p3", "name": "Chiara", "bed": "7-03", "ward": "7"},
]
VITALS: list[Document] = [
    {"_id": "p1", "ward": "7", **SIGNS, "score": 5},
    {"_id": "p2", "ward": "7", **SIGNS, "score": 0},
]
NOTES: list[Document] = [
    {"_id": f"n{n}", "patient": "p1", "text": f"note {n}", "ward": "7",
     "at": datetime(2026, 11, 25, 8, n, tzinfo=UTC)}
    for n in range(7)
]  # fmt: skip


def drawn(documents: dict[str, list[Document]], *, width: int = 100) -> list[str]:
    console = Console(file=StringIO(), width=width, height=40)
    console.print(draw_ward(documents))
    assert isinstance(console.file, StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_beds_stand_in_order_with_patient_signs_and_score() -> None:
    lines = drawn({"beds": BEDS, "patients": PATIENTS, "vitals": VITALS, "notes": []})
    assert [line.split() for line in lines[2:6]] == [
        ["Bed", "1", "Ada", "75", "98", "15", "125/80", "36.8", "5"],
        ["Bed", "2", "Bruno\\u001b[31m", "75", "98", "15", "125/80", "36.8", "0"],
        ["Bed", "3", "Chiara"],
        ["Bed", "4", "free"],
    ]


def test_latest_notes_come_first_and_few() -> None:
    lines = drawn({"beds": [], "patients": PATIENTS, "vitals": [], "notes": NOTES})
    assert lines[-5:] == [f"08:0{n} UTC  Ada: note {n}" for n in (6, 5, 4, 3, 2)]


def test_ward_fits_eighty_columns() -> None:
    lines = drawn({"beds": BEDS, "patients": PATIENTS, "vitals": VITALS, "notes": NOTES}, width=80)
    assert max(map(len, lines)) <= 80
    assert "125/80" in lines[2]


@pytest.mark.parametrize("score", [2, 3, 5])
def test_score_is_coloured_by_its_urgency(score: int) -> None:
    console = Console(file=StringIO(), width=100, force_terminal=True, color_system="standard")
    vitals = [{**VITALS[0], "score": score}]
    console.print(draw_ward({"beds": BEDS, "patients": PATIENTS, "vitals": vitals}))
    assert isinstance(console.file, StringIO)
    text = console.file.getvalue()
    assert bool(re.search(r"\x1b\[1;31m *5", text)) == (score == 5)
    assert bool(re.search(r"\x1b\[33m *3", text)) == (score == 3)


async def test_line_per_bed_is_written_once_until_it_changes() -> None:
    out = StringIO()
    listener = bind("127.0.0.1", 0)

    async def change() -> None:
        await Gateway(client, seed=1).send(1.0)
        async for documents in client.collection("vitals").find("p01").results():
            heart_rate = documents[0]["heart_rate"]
            if f"Bed 1: Ada Bergström  heart {heart_rate}/min" in out.getvalue():
                return
            # The same once more: nothing to be written.
            await client.call("vitals.record", "p02", SIGNS)
            await client.call("vitals.record", "p01", {**SIGNS, "heart_rate": heart_rate + 1})

    async with (
        asyncio.timeout(20),
        node_running(app, Settings(store="memory:"), listener),
        connect(url_of(listener)) as client,
    ):
        await client.subscribe("ward.board", "7")
        await first_of(WardLines(out, interval_s=0).show(client), change())
    lines = out.getvalue().splitlines()
    assert len(lines) == len(set(lines))
    assert len({line.partition(":")[0] for line in lines}) == 10
