"""Run the ward example: a balancer, two nodes, its monitor gateway and a view of its board."""

import asyncio
import importlib
import os
import shlex
import ssl
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from ssl import SSLContext
from typing import Protocol, TextIO, cast
from urllib.parse import quote

from bolide.core.errors import ConfigurationError
from bolide.ops.demo.last_lines import LastLines
from bolide.ops.loop import stop_signals
from bolide.ops.node.run import NOT_FOR_PHI
from bolide.ops.race import first_of
from bolide.ops.up.plan import Plan, make_plan
from bolide.ops.up.procfile import Line
from bolide.ops.up.runner import EndedTooSoon, Runner
from bolide.ops.up.up import cluster_running
from bolide.ops.watch.watch import Display, watch
from bolide.server.settings import Settings

__all__ = ["examples_folder", "run_demo", "store_url"]

_HOST = "127.0.0.1"
_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE / "_examples", _PACKAGE.parents[2] / "examples")
"""Where the examples are: in an installed wheel, in a checkout."""


class _Monitor(Protocol):
    """``ward.monitor.monitor``, which cannot be imported by name before its folder is known."""

    async def __call__(self, url: str, *, interval_s: float, ssl: SSLContext) -> None: ...


def examples_folder() -> Path:
    """Return the folder that holds the package ``ward``.

    Raises:
        ConfigurationError: If the installation has no examples.
    """
    for place in _PLACES:
        if (place / "ward" / "app.py").is_file():
            return place
    raise ConfigurationError("The installation", str(_PACKAGE), "one with examples: install again")


def store_url(folder: Path) -> str:
    """Return the URL of the demo's store.

    Args:
        folder: Where its file is kept; must exist.
    """
    return f"sqlite:///{quote(str(folder.resolve() / 'ward.db'))}"


async def run_demo(
    store: str,
    state: Path,
    port: int,
    *,
    interval_s: float,
    display: Callable[[str], Display],
    say: Callable[[str], object],
    log: TextIO,
    nodes: int = 2,
) -> None:
    """Run the demo until SIGINT or SIGTERM.

    Args:
        store: URL of the store.
        state: Folder for certificates and what else is made.
        port: Where the balancer listens, or at the next free port.
        interval_s: Time between two readings of the monitors, seconds.
        display: Given the board's URL, makes what shows the ward.
        say: Takes the lines for the person who looks, when there are nodes for clients.
        log: Takes what the person should know of the processes.
        nodes: How many.

    Raises:
        ConfigurationError: If the store cannot be used or no port is free.
        EndedTooSoon: If a process ends before all work.
    """
    examples = examples_folder()
    if str(examples) not in sys.path:
        sys.path.insert(0, str(examples))
    monitor = cast("_Monitor", importlib.import_module("ward.monitor").monitor)
    # Not in the working directory: its bolide.toml is of somebody's own app.
    command = (
        f"cd {shlex.quote(str(state))};"
        f" exec bolide run --app-dir {shlex.quote(str(examples))} ward.app:app"
    )
    settings = Settings(host=_HOST, port=port, store=store)
    plan = make_plan(
        state,
        [Line("node", command)],
        settings,
        datetime.now(UTC),
        nodes=nodes,
        takes_next_port=True,
    )
    hurried = asyncio.Event()
    output = LastLines(log, [line.name for line in plan.lines])

    async def show() -> None:
        async with cluster_running(plan, _environment(store), output, hurried) as runner:
            assert plan.made is not None  # Settings name no certificate
            url = f"{plan.url}/"
            tls = ssl.create_default_context(cafile=plan.made.authority)
            say(f"Ward board: {url}")
            for line in _about(plan, runner):
                say(line)
            await first_of(
                monitor(url, interval_s=interval_s, ssl=tls),
                watch(url, "ward.board", ["7"], display(url), ssl=tls),
            )

    with stop_signals(hurried=hurried) as stopped:
        try:
            await first_of(show(), stopped.wait())
        except EndedTooSoon:
            output.tell_all()
            raise


def _about(plan: Plan, runner: Runner) -> Iterator[str]:
    assert plan.made is not None
    yield (
        "Your browser will warn: the certificate was made here. Go on, or import"
        f" {plan.made.authority} first, which it may trust for this machine only."
    )
    pids = runner.pids(plan.nodes)
    yield f"The nodes behind the balancer: {pids}. Kill one, and see the board go on."
    yield NOT_FOR_PHI


def _environment(store: str) -> Mapping[str, str]:
    """Return that of the processes: settings of somebody's own app are not the ward's."""
    others = {name: value for name, value in os.environ.items() if not name.startswith("BOLIDE_")}
    return {**others, "BOLIDE_STORE": store}
