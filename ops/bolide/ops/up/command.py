"""The command ``bolide up``."""

import asyncio
import os
import re
import shlex
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Final

import typer

from bolide.core.errors import ConfigurationError
from bolide.ops.loop import run_loop, stop_signals
from bolide.ops.node.run import NOT_FOR_PHI
from bolide.ops.race import first_of
from bolide.ops.terminal.failing import told
from bolide.ops.terminal.printable import printable
from bolide.ops.up.output import Output
from bolide.ops.up.plan import MAX_NODES, Plan, make_plan
from bolide.ops.up.procfile import NODE, Line, read_procfile
from bolide.ops.up.runner import OWN_NAME
from bolide.ops.up.up import cluster_running, locked
from bolide.server.settings import parse_flag, read_settings

__all__ = ["add_up_command", "lines_about"]

_PROCFILE: Final = Path("Procfile")
_FIXED_PORT: Final = re.compile(r"--port[ =]+\d+")


def add_up_command(app: typer.Typer) -> None:
    """Add the command to ``bolide``."""
    app.command()(up)


def _port(text: str) -> int:
    with told():
        port: int = parse_flag("port", str(text))
    return port


def up(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="[MODULE:APP]",
            help="Such as ward.app:app; otherwise the line `node` of ./Procfile.",
            show_default=False,
        ),
    ] = None,
    nodes: Annotated[int, typer.Option(help="How many nodes.", min=1, max=MAX_NODES)] = 2,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[
        int | None,
        typer.Option(help="Port for browsers; 0 is any.", parser=_port, metavar="PORT"),
    ] = None,
    redirect_port: Annotated[
        int | None,
        typer.Option(
            help="Port that redirects plain HTTP; otherwise 80 higher, or the next free one.",
            parser=_port,
            metavar="PORT",
        ),
    ] = None,
    store: Annotated[str | None, typer.Option(help="URL of the store.")] = None,
    app_dir: Annotated[Path, typer.Option(help="Folder of MODULE.")] = Path(),
    workers: Annotated[
        int, typer.Option(help="Workers of the balancer; 0 is one for each processor.", min=0)
    ] = 0,
    state: Annotated[
        Path, typer.Option(help="Folder for certificates and what else is made.")
    ] = Path(".bolide"),
    prepare: Annotated[
        bool,
        typer.Option("--prepare", help="Only write the files, for another runner of Procfiles."),
    ] = False,
) -> None:
    """Run a balancer and several nodes on this machine, with TLS between all, until Ctrl-C.

    Certificates are made on the spot. The settings are those of `bolide run`.
    """
    flags = {"host": host, "port": port, "store": store}
    with told():
        lines = _lines(name, app_dir)
        settings = read_settings(flags, os.environ)
        with locked(state):
            plan = make_plan(
                state,
                lines,
                settings,
                datetime.now(UTC),
                nodes=nodes,
                workers=workers,
                redirect_port=redirect_port,
            )
            output = Output(sys.stdout, [OWN_NAME, *(line.name for line in plan.lines)])
            if prepare:
                typer.echo(f"Run it here with: honcho start -f {_shown(plan.folder / 'Procfile')}")
                for line in lines_about(plan):
                    typer.echo(printable(line))
                return
            run_loop(lambda: _run(plan, output))


async def _run(plan: Plan, output: Output) -> None:
    def say(text: str) -> None:
        output.say(OWN_NAME, printable(text))

    async def serve() -> None:
        async with cluster_running(plan, os.environ, output, hurried) as runner:
            count = "1 node" if len(plan.nodes) == 1 else f"{len(plan.nodes)} nodes"
            say(f"Bolide serves at {plan.url}/ with {count} behind a balancer.")
            for line in lines_about(plan):
                say(line)
            say(f"{runner.pids(plan.nodes)}; one that is killed is started again.")
            await asyncio.Event().wait()

    hurried = asyncio.Event()
    with stop_signals(hurried=hurried) as stopped:
        await first_of(serve(), stopped.wait())


def lines_about(plan: Plan) -> Iterator[str]:
    """Say what people should know of what was planned, one line each."""
    yield f"Plain HTTP at {plan.redirect}/ leads there."
    if plan.made is not None:
        authority = _shown(plan.made.authority)
        yield (
            f"Its certificate was made here, so browsers warn. They trust it until"
            f" {plan.made.ends:%Y-%m-%d} if {authority} is imported; programs do with"
            f" SSL_CERT_FILE={authority}."
        )
    yield f"All certificates end on {plan.ends:%Y-%m-%d} at the latest: start it anew before."
    yield f"What it does: bolide top --balancer --socket {_shown(plan.management)}"
    yield NOT_FOR_PHI


def _lines(name: str | None, app_dir: Path) -> Sequence[Line]:
    if name is None:
        if not _PROCFILE.is_file():
            expected = "given where there is no Procfile, such as ward.app:app"
            raise ConfigurationError("MODULE:APP", None, expected)
        lines = read_procfile(_PROCFILE)
        _refuse_fixed_port(lines)
        return lines
    if not app_dir.is_dir():
        raise ConfigurationError("--app-dir", str(app_dir), "a folder that exists")
    module, colon, attribute = name.partition(":")
    if not (module and colon and attribute):
        expected = "a module and the app in it, such as ward.app:app"
        raise ConfigurationError("MODULE:APP", name, expected)
    folder = shlex.quote(str(app_dir.resolve()))
    return [Line(NODE, f"exec bolide run --app-dir {folder} {shlex.quote(name)}")]


def _refuse_fixed_port(lines: Sequence[Line]) -> None:
    """Refuse a port that all nodes would take, and that the balancer would not know."""
    for line in lines:
        if line.name == NODE and (found := _FIXED_PORT.search(line.command)):
            expected = "left out, or --port $PORT: each node has a port of its own"
            raise ConfigurationError(f"{_PROCFILE}, line {NODE}", found[0], expected)


def _shown(path: Path) -> str:
    """Write a path for a command line, relative if it is below the working directory."""
    here = Path.cwd()
    return shlex.quote(str(path.relative_to(here) if path.is_relative_to(here) else path))
