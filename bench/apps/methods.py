"""Answer a method whose arguments are checked strictly and which does nothing else."""

from pydantic import ConfigDict, with_config
from typing_extensions import TypedDict

from bolide.server import App, Context

__all__ = ["app"]

app = App()


@with_config(ConfigDict(extra="forbid"))
class Values(TypedDict):
    """What would be set."""

    n: int


@with_config(ConfigDict(extra="forbid"))
class Update(TypedDict):
    """What would be done to a task."""

    set: Values


@app.method("tasks.update", public=True)
async def update(ctx: Context, task: str, update: Update) -> str:
    """Return the id of the task: a little more than the peers' constant."""
    return task
