"""Run a balancer and its nodes on this machine until told to end."""

import asyncio
import fcntl
import os
from collections.abc import AsyncGenerator, Generator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final

from bolide.core.errors import ConfigurationError
from bolide.ops.balancer.management import BalancerAway, BalancerRefused, ask
from bolide.ops.up.output import Output
from bolide.ops.up.plan import Plan
from bolide.ops.up.runner import Runner

__all__ = ["cluster_running", "locked"]

_LOOK_S: Final = 0.1


@contextmanager
def locked(folder: Path) -> Generator[None]:
    """Let nobody else use a folder for the time of the block.

    Args:
        folder: Is made for this user only, if there is none.

    Raises:
        ConfigurationError: If another process uses it, it is somebody else's, or it cannot be made.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if folder.stat().st_uid != os.geteuid():
            expected = "a folder of your own: there will be keys in it"
            raise ConfigurationError("--state", str(folder), expected)
        descriptor = os.open(folder / "lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        expected = f"a folder that can be written to ({error.strerror})"
        raise ConfigurationError("--state", str(folder), expected) from None
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            expected = "a folder that nobody uses: another `bolide up` runs there"
            raise ConfigurationError("--state", str(folder), expected) from None
        yield
    finally:
        os.close(descriptor)


@asynccontextmanager
async def cluster_running(
    plan: Plan,
    environment: Mapping[str, str],
    output: Output,
    hurried: asyncio.Event | None = None,
) -> AsyncGenerator[Runner]:
    """Run what was planned for the time of the block, which begins when clients find nodes.

    Args:
        plan: What.
        environment: Of the processes.
        output: Takes what they say.
        hurried: Is set when those that are asked to end are to be ended at once.

    Raises:
        EndedTooSoon: If one of them ends before all work.
    """
    runner = Runner(plan.lines, environment, output, hurried=hurried)
    running = asyncio.create_task(runner.run())
    looking = asyncio.create_task(_all_up(plan))
    try:
        await asyncio.wait((running, looking), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        looking.result()
        runner.settle()
        yield runner
    finally:
        looking.cancel()
        runner.end()
        await running


async def _all_up(plan: Plan) -> None:
    """Wait until the balancer gives sessions to each node."""
    while True:
        await asyncio.sleep(_LOOK_S)
        try:
            rows = (await asyncio.to_thread(ask, plan.management, "/nodes"))["nodes"]
        except (BalancerAway, BalancerRefused):
            continue  # it has not begun
        if {row["name"] for row in rows if row["state"] == "up"} >= set(plan.nodes):
            return
