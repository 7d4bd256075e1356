"""The command ``bolide`` on a machine that has the balancer only."""

from typing import Annotated

import typer
from rich.console import Console

from bolide.ops.balancer.commands import Config, Socket, add_balancer_commands, socket_of
from bolide.ops.balancer_top.showing import show_balancer
from bolide.ops.certificates.commands import ca
from bolide.ops.terminal.command_group import Commands
from bolide.ops.terminal.failing import told
from bolide.ops.terminal.looks import AsJson, Interval, Once
from bolide.ops.terminal.version import version

__all__ = ["app"]

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    add_completion=False,
    epilog="Only the balancer is installed here; pip install 'bolide\\[all]' brings the rest.",
)
app.add_typer(ca, name="ca")
app.command()(version)
add_balancer_commands(app)


@app.command()
def top(
    interval: Interval = 2.0,
    once: Once = False,
    as_json: AsJson = False,
    balancer: Annotated[
        bool, typer.Option("--balancer", help="So it is, here without saying it.")
    ] = True,
    config: Config = None,
    socket: Socket = None,
) -> None:
    """Show what the nodes, workers and clients of a balancer do, until q or Ctrl-C."""
    del balancer
    with told():
        is_once = once or not Console().is_terminal
        show_balancer(socket_of(config, socket), interval, is_once=is_once, as_json=as_json)
