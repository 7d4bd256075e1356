"""The command ``bolide top``, of a node or of a balancer."""

import asyncio
import os
import sys
from typing import Annotated

import typer
from rich.console import Console

from bolide.core.errors import ConfigurationError
from bolide.ops.balancer.commands import Config, Socket, socket_of
from bolide.ops.balancer_top.showing import show_balancer
from bolide.ops.loop import run_loop, stop_signals
from bolide.ops.race import first_of
from bolide.ops.terminal.failing import told
from bolide.ops.terminal.keys import keys_pressed
from bolide.ops.terminal.looks import AsJson, Interval, Once
from bolide.ops.terminal.printable import printable
from bolide.ops.top.management_client import Management, NoManagement
from bolide.ops.top.operator_context import operator_context
from bolide.ops.top.rates import compare
from bolide.ops.top.top import look, look_for_json
from bolide.ops.top.top import top as watch_node
from bolide.ops.top.view import TopView, plain_lines
from bolide.server.settings import read_settings
from bolide.server.telemetry.overview import DEFAULT_ROWS, MAX_ROWS

__all__ = ["add_top_command"]


def add_top_command(app: typer.Typer) -> None:
    """Add the command to ``bolide``."""
    app.command()(top)


def top(
    url: Annotated[
        str | None,
        typer.Argument(
            help="Where the management listener is, such as http://127.0.0.1:9300;"
            " otherwise the one of the settings here.",
            show_default=False,
        ),
    ] = None,
    interval: Interval = 2.0,
    once: Once = False,
    as_json: AsJson = False,
    limit: Annotated[
        int | None,
        typer.Option(
            help="Most sessions, and most live queries, to be told of.",
            min=1,
            max=MAX_ROWS,
            show_default=False,
        ),
    ] = None,
    ca: Annotated[
        str | None, typer.Option(help="PEM file with the cluster's authority, for https://.")
    ] = None,
    cert: Annotated[
        str | None, typer.Option(help="PEM file with an operator's certificate.")
    ] = None,
    key: Annotated[str | None, typer.Option(help="PEM file with its key.")] = None,
    balancer: Annotated[
        bool, typer.Option("--balancer", help="Look at the balancer of this machine instead.")
    ] = False,
    config: Config = None,
    socket: Socket = None,
) -> None:
    """Show what the sessions and live queries of a node do and cost, until q or Ctrl-C.

    With --balancer it shows the nodes, workers and traffic of a balancer.

    Live tables on a terminal, otherwise plain lines, once.
    """
    is_once = once or not Console().is_terminal
    with told(NoManagement):
        if balancer or config is not None or socket is not None:
            if url is not None:
                raise ConfigurationError("URL", url, "left out with --balancer")
            place = socket_of(config, socket)
            show_balancer(place, interval, is_once=is_once, as_json=as_json)
        else:
            management = _management(url, ca, cert, key)
            _top_of_node(management, interval, limit, is_once=is_once, as_json=as_json)


def _management(url: str | None, ca: str | None, cert: str | None, key: str | None) -> Management:
    if url:
        return Management.at(url, lambda: operator_context(ca, cert, key))
    return Management.of(read_settings(None, os.environ))


def _top_of_node(
    management: Management, interval_s: float, limit: int | None, *, is_once: bool, as_json: bool
) -> None:
    async def run() -> None:
        with stop_signals() as stopped, keys_pressed(sys.stdin, "qQ") as left:
            view = TopView(Console(), management.url, interval_s)
            watching = watch_node(management, view, interval_s=interval_s, rows=limit or MAX_ROWS)
            await first_of(watching, stopped.wait(), left.wait())

    if as_json:
        answer = asyncio.run(look_for_json(management, limit or DEFAULT_ROWS))
        typer.echo(printable(answer.decode()))
    elif is_once:
        overview = asyncio.run(look(management, limit or DEFAULT_ROWS))
        for line in plain_lines(compare(None, overview)):
            typer.echo(line)
    else:
        run_loop(run)
