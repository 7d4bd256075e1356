"""Show the ward of the demo in a terminal."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TextIO

from rich import box
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from bolide.client import Client
from bolide.core.values import Document
from bolide.ops.terminal.printable import cell_text, printable

__all__ = ["WardLines", "draw_ward"]

_WATCH, _ACT = 3, 5
"""Scores from which on somebody should look more often, and soon."""
_SHOWN_NOTES = 5
_SETTLE_S = 0.2
"""Time for the readings of all patients to come in, after those of the first."""


@dataclass(frozen=True, slots=True)
class _Place:
    """A bed and who lies in it.

    Attributes:
        bed: The bed.
        patient: Who lies in it, None if it is free.
        vitals: The latest readings, None if there are none.
    """

    bed: Document
    patient: Document | None
    vitals: Document | None


def _places(documents: Mapping[str, Sequence[Document]]) -> Iterator[_Place]:
    patients = {patient["bed"]: patient for patient in documents.get("patients", ())}
    vitals = {one["_id"]: one for one in documents.get("vitals", ())}
    for bed in sorted(documents.get("beds", ()), key=lambda bed: str(bed["_id"])):
        patient = patients.get(bed["_id"])
        yield _Place(bed, patient, vitals.get(patient["_id"]) if patient else None)


def draw_ward(documents: Mapping[str, Sequence[Document]]) -> RenderableType:
    """Draw beds, patients and their signs as a table, the latest notes below.

    Args:
        documents: By name of their collection: beds, patients, vitals, notes.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    for name in ("Bed", "Patient"):
        table.add_column(name, no_wrap=True, overflow="ellipsis")
    for name in ("Heart", "SpO₂ %", "Breaths", "mmHg", "°C", "Score"):
        table.add_column(name, justify="right", no_wrap=True)
    for place in _places(documents):
        table.add_row(*_cells(place))
    return Group(table, "", *_notes(documents))


def _cells(place: _Place) -> Iterator[Text]:
    yield Text(printable(place.bed["label"]))
    if place.patient is None:
        yield Text("free", style="dim")
        return
    yield Text(printable(place.patient["name"]))
    signs = place.vitals
    if signs is None:
        return
    for sign in ("heart_rate", "saturation", "respiration"):
        yield Text(cell_text(signs[sign]))
    yield Text(f"{signs['systolic']}/{signs['diastolic']}")
    yield Text(f"{signs['temperature']:.1f}")
    score: int = signs["score"]
    yield Text(str(score), style="bold red" if score >= _ACT else "yellow" * (score >= _WATCH))


def _notes(documents: Mapping[str, Sequence[Document]]) -> Iterator[Text]:
    names = {patient["_id"]: patient["name"] for patient in documents.get("patients", ())}
    notes = sorted(documents.get("notes", ()), key=lambda note: note["at"], reverse=True)
    for note in notes[:_SHOWN_NOTES]:
        line = Text(f"{note['at']:%H:%M} UTC  ", style="dim", no_wrap=True, overflow="ellipsis")
        line.append(f"{printable(names.get(note['patient'], ''))}: ", style="default not dim")
        yield line.append(printable(note["text"]), style="default not dim")


class WardLines:
    """One line per bed whose signs have changed, now and then.

    Args:
        out: Where they are written.
        interval_s: Time between two rounds, seconds.
    """

    def __init__(self, out: TextIO, *, interval_s: float = 5.0) -> None:
        """Write nothing yet."""
        self._out = out
        self._interval_s = interval_s
        self._shown: dict[str, str] = {}

    async def show(self, client: Client) -> None:
        """Write lines until the client has ended."""
        async with aclosing(client.collection("vitals").find().results()) as results:
            async for vitals in results:
                if vitals:
                    await asyncio.sleep(min(_SETTLE_S, self._interval_s))
                    self._write_changed(client)
                    await asyncio.sleep(self._interval_s)

    def _write_changed(self, client: Client) -> None:
        names = ("beds", "patients", "vitals")
        documents = {name: client.collection(name).find().fetch() for name in names}
        for place in _places(documents):
            line = _line(place)
            bed = str(place.bed["_id"])
            if line is not None and self._shown.get(bed) != line:
                self._shown[bed] = line
                print(line, file=self._out, flush=True)


def _line(place: _Place) -> str | None:
    signs = place.vitals
    if place.patient is None or signs is None:
        return None
    return (
        f"{printable(place.bed['label'])}: {printable(place.patient['name'])}"
        f"  heart {signs['heart_rate']}/min  SpO2 {signs['saturation']} %"
        f"  breaths {signs['respiration']}/min  {signs['systolic']}/{signs['diastolic']} mmHg"
        f"  {signs['temperature']:.1f} C  score {signs['score']}"
    )
