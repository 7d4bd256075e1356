"""Publish the same 50 documents to every session."""

from bolide.server import App, Context, Cursor

__all__ = ["DOCUMENTS", "app", "patients"]

DOCUMENTS = 50
_NOTE = "Slept well, ate half of breakfast; wound dry, dressing changed at six. "

app = App()
patients = app.collection("patients")
"""``{_id, name, ward, bed, admitted, note}``, about 300 bytes as JSON."""


@app.on_startup
async def write_patients() -> None:
    """Fill the ward."""
    await patients.insert_many(
        [
            {
                "_id": f"patient{number:010d}",
                "name": f"Example Person {number:02d}",
                "ward": "7",
                "bed": number,
                "admitted": "2026-11-25T06:30:00Z",
                "note": _NOTE * 2 + f"Round {number:02d}.",
            }
            for number in range(DOCUMENTS)
        ]
    )


@app.publish("ward", public=True)
async def ward(ctx: Context, ward: str) -> Cursor:
    """Publish the patients of one ward."""
    return patients.find({"ward": ward})
