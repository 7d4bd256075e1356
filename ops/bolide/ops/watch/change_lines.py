"""Show a client's documents as one line per change, for pipes and logs."""

from collections.abc import Mapping
from contextlib import aclosing
from typing import Any, TextIO

from bolide.client import Client
from bolide.client.collections.changes import Added, Change, Changed, Moved, Removed
from bolide.ops.race import first_of
from bolide.ops.terminal.printable import cell_text, json_text, printable
from bolide.ops.terminal.tables import status_text
from bolide.ops.watch.watch import for_each_collection

__all__ = ["ChangeLines", "change_line"]


class ChangeLines:
    """Changes on one stream, the states of the connection on another.

    Args:
        out: Where changes are written.
        err: Where states are written.
    """

    def __init__(self, out: TextIO, err: TextIO) -> None:
        """Write nothing yet."""
        self._out = out
        self._err = err

    async def show(self, client: Client) -> None:
        """Write lines until the client has ended."""

        async def show_collection(name: str) -> None:
            async with aclosing(client.collection(name).find().changes()) as changes:
                async for change in changes:
                    line = change_line(name, change)
                    if line is not None:
                        print(line, file=self._out, flush=True)

        await first_of(for_each_collection(client, show_collection), self._show_status(client))

    async def _show_status(self, client: Client) -> None:
        async with aclosing(client.statuses()) as statuses:
            async for status in statuses:
                print(status_text(status).plain, file=self._err, flush=True)


def change_line(collection: str, change: Change) -> str | None:
    """Write a change as ``changed vitals p1 {"heart_rate":75}``.

    Args:
        collection: Where it happened.
        change: What happened.

    Returns:
        The line, or None if documents only changed places.
    """
    place = f"{printable(collection)} {cell_text(change.id)}"
    match change:
        case Added():
            return f"added {place} {_fields_text(change.document)}"
        case Changed():
            cleared = f" cleared {json_text(list(change.cleared))}" if change.cleared else ""
            return f"changed {place} {_fields_text(change.fields)}{cleared}"
        case Removed():
            return f"removed {place}"
        case Moved():
            return None


# Values of documents have no static type.
def _fields_text(fields: Mapping[str, Any]) -> str:
    return json_text({name: value for name, value in fields.items() if name != "_id"})
