"""Furnish the ward: beds, invented patients, first notes.

Nobody of these people exists. Ids are fixed and what exists is left alone, so that several nodes
may furnish the same store, and none brings back what somebody changed.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bolide.server import Collection

__all__ = ["NOTES", "PATIENTS", "WARD", "furnish"]

WARD: Final = "7"

PATIENTS: Final = (
    "Ada Bergström", "Bruno Keller", "Chiara Lindqvist", "Daniel Okafor", "Elif Sundberg",
    "Farid Moreau", "Greta Ivanova", "Hugo Tanabe", "Inês Novak", "Jonas Adeyemi",
)  # fmt: skip
"""Names by bed, from the first on; the last beds are free."""
_BEDS: Final = 12

NOTES: Final = (
    (0, 190, "Slept well. Walked to the window and back with the physiotherapist."),
    (2, 140, "Cannula in the left hand changed, no redness."),
    (4, 95, "Asks for the vegetarian menu. Daughter visits at four."),
    (6, 60, "Cough since this morning, sputum sent to the laboratory."),
    (3, 25, "Blood pressure to be taken on the right arm only."),
    (8, 10, "Pain 2 of 10 after the round, no further medication wanted."),
)
"""Notes: bed, minutes ago, text."""


def _documents(now: datetime) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield collection, ``_id`` and fields of everything, in the order it is to be written."""
    for number in range(1, _BEDS + 1):
        yield "beds", f"{WARD}-{number:02}", {"label": f"Bed {number}", "ward": WARD}
    for number, name in enumerate(PATIENTS, 1):
        yield (
            "patients",
            f"p{number:02}",
            {"name": name, "bed": f"{WARD}-{number:02}", "ward": WARD},
        )
    for number, (bed, minutes, text) in enumerate(NOTES, 1):
        at = now - timedelta(minutes=minutes)
        note = {"patient": f"p{bed + 1:02}", "text": text, "at": at, "ward": WARD}
        yield "notes", f"n{number:02}", note


async def furnish(*collections: Collection, now: datetime | None = None) -> None:
    """Write what is missing.

    Args:
        collections: Those named beds, patients and notes.
        now: The present time; the system's if None.
    """
    by_name = {collection.name: collection for collection in collections}
    for name, id, fields in _documents(now or datetime.now(UTC)):
        await by_name[name].update_one({"_id": id}, {"$setOnInsert": fields}, upsert=True)
