"""Run a program again whenever its source changes."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from pathlib import Path

# Its type names classes of trio, which is not installed.
from watchfiles import PythonFilter, awatch  # pyright: ignore[reportUnknownVariableType]

__all__ = ["run_reloading"]

_DEBOUNCE_MS = 200
"""Changes that come closer together count as one: editors write in several steps."""


async def run_reloading(
    command: Sequence[str],
    folder: Path,
    *,
    say: Callable[[str], object],
) -> None:
    """Run a command until cancelled; after each change of its source end it and start it again.

    A command that ends by itself is started again after the next change.

    Args:
        command: Program and arguments.
        folder: Where the source is: Python and TOML files, at any depth.
        say: Takes a line for the developer when the command ends or begins anew.
    """
    changes = awatch(
        folder,
        watch_filter=PythonFilter(extra_extensions=(".toml",)),
        debounce=_DEBOUNCE_MS,
    )
    async with aclosing(changes):
        while True:
            change = asyncio.create_task(_next(changes))
            await asyncio.sleep(0)  # the watching begins before the program does
            try:
                await _run_until(change, command, say)
            finally:
                change.cancel()
                await asyncio.gather(change, return_exceptions=True)
            say("Changed: starting anew.")


async def _run_until(
    change: asyncio.Task[None], command: Sequence[str], say: Callable[[str], object]
) -> None:
    # A session of its own: Ctrl-C reaches this process, which then ends the program.
    program = await asyncio.create_subprocess_exec(*command, start_new_session=True)
    ended = asyncio.create_task(program.wait())
    try:
        await asyncio.wait((change, ended), return_when=asyncio.FIRST_COMPLETED)
        if not change.done():
            say(f"The app ended with status {ended.result()}; waiting for a change.")
        await change
    finally:
        if program.returncode is None:
            program.terminate()
        await ended


async def _next(changes: AsyncIterator[object]) -> None:
    await anext(changes)
