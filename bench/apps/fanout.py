"""Tell every session of changes: one document in a turn of the event loop, or several.

The publication is universal, because the load generator sends one message and no more when it
connects. Everybody may do everything here (``public=True``): the app has no people.
"""

import asyncio
from typing import Annotated

from pydantic import Field

from bolide.server import App, Context, Cursor

__all__ = ["MESSAGE_BYTES", "app", "tasks"]

MESSAGE_BYTES = 200
"""Size of one ``changed`` message; the peers broadcast a ready text of the same size."""

_DOCUMENTS = 4
# {"msg":"changed","collection":"tasks","id":"Xyz12345678901230","fields":{"title":"..."}}
_AROUND_TITLE = len(
    '{"msg":"changed","collection":"tasks","id":"Xyz12345678901230","fields":{"title":""}}'
)

app = App()
tasks = app.collection("tasks")
"""``{_id, title}``"""


@app.on_startup
async def write_tasks() -> None:
    """Write the documents that will change."""
    await tasks.insert_many(
        [{"_id": f"Xyz1234567890123{n}", "title": _title(0)} for n in range(_DOCUMENTS)]
    )


@app.publish(None, public=True)
async def everything(ctx: Context) -> Cursor:
    """Publish all tasks to everybody who connects."""
    return tasks.find({})


@app.method("change", public=True)
async def change(
    ctx: Context, messages: Annotated[int, Field(ge=1)], together: Annotated[int, Field(ge=1, le=4)]
) -> None:
    """Let every session be sent ``messages`` changes, ``together`` of them in each turn.

    Args:
        ctx: The invocation.
        messages: How many ``changed`` messages each session gets.
        together: Documents that change in one write, so in one turn of the event loop.
    """
    for turn in range(1, messages // together + 1):
        if together == 1:
            await tasks.update_one({"_id": "Xyz12345678901230"}, {"$set": {"title": _title(turn)}})
        else:
            changed = {"_id": {"$in": [f"Xyz1234567890123{n}" for n in range(together)]}}
            await tasks.update_many(changed, {"$set": {"title": _title(turn)}})
        # The memory store answers at once: the change is delivered while we let others run.
        await asyncio.sleep(0)


def _title(number: int) -> str:
    """Return a text that differs from turn to turn and makes the message as long as a peer's."""
    return f"{number:08d}".ljust(MESSAGE_BYTES - _AROUND_TITLE, "x")
