"""Look at a node again and again: what its sessions and live queries do."""

import asyncio
from types import TracebackType
from typing import Protocol

import msgspec

from bolide.ops.top.management_client import Management, ManagementFailed
from bolide.ops.top.rates import Rates, compare
from bolide.server.telemetry.overview import Overview

__all__ = ["TopDisplay", "look", "look_for_json", "top"]


class TopDisplay(Protocol):
    """Where overviews are shown, for the time of a block."""

    def __enter__(self) -> object: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def show(self, rates: Rates) -> None:
        """Show what the node does now."""
        ...

    def fail(self, error: ManagementFailed) -> None:
        """Show that the node did not answer; what was shown before is old."""
        ...


async def look_for_json(management: Management, rows: int) -> bytes:
    """Ask for an overview; return it as the node wrote it, after a look whether it is one.

    Args:
        management: Whom to ask.
        rows: Most sessions, and most live queries, to be told of.

    Raises:
        ManagementFailed: If there is no overview.
    """
    answer = await management.get(f"/top?limit={rows}")
    _read(management, answer)
    return answer


async def look(management: Management, rows: int) -> Overview:
    """Ask for an overview.

    Args:
        management: Whom to ask.
        rows: Most sessions, and most live queries, to be told of.

    Raises:
        ManagementFailed: If there is no overview.
    """
    return _read(management, await management.get(f"/top?limit={rows}"))


async def top(management: Management, display: TopDisplay, *, interval_s: float, rows: int) -> None:
    """Show a node until cancelled, whether it goes on answering or not.

    Args:
        management: Whom to ask.
        display: Where it is shown; entered when there is a first answer.
        interval_s: From one question to the next, seconds.
        rows: Most sessions, and most live queries, to be told of.

    Raises:
        ManagementFailed: If there is no first answer.
    """
    before = await look(management, rows)
    with display:
        display.show(compare(None, before))
        while True:
            await asyncio.sleep(interval_s)
            try:
                now = await look(management, rows)
            except ManagementFailed as error:
                display.fail(error)
                continue
            display.show(compare(before, now))
            before = now


def _read(management: Management, answer: bytes) -> Overview:
    try:
        return msgspec.json.decode(answer, type=Overview)
    except msgspec.DecodeError:
        text = "answers in a way that this version of Bolide does not understand."
        raise ManagementFailed(management.url, text) from None
