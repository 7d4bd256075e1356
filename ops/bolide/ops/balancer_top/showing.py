"""What a balancer does, on a terminal or as lines."""

import sys
from pathlib import Path

import msgspec
import typer
from rich.console import Console

from bolide.ops.balancer_top.rates import compare
from bolide.ops.balancer_top.view import BalancerView, plain_lines
from bolide.ops.balancer_top.watching import look, watch_balancer
from bolide.ops.loop import run_loop, stop_signals
from bolide.ops.race import first_of
from bolide.ops.terminal.keys import keys_pressed

__all__ = ["show_balancer"]


def show_balancer(place: Path, interval_s: float, *, is_once: bool, as_json: bool) -> None:
    """Show it until q or Ctrl-C, or once.

    Args:
        place: Its management socket.
        interval_s: Time between two looks, seconds.
        is_once: Look once, and write plain lines.
        as_json: Look once, and write JSON.

    Raises:
        BolideError: If it cannot be asked.
    """

    async def run() -> None:
        with stop_signals() as stopped, keys_pressed(sys.stdin, "qQ") as left:
            view = BalancerView(Console(), str(place), interval_s)
            watching = watch_balancer(place, view, interval_s=interval_s)
            await first_of(watching, stopped.wait(), left.wait())

    if as_json:
        typer.echo(msgspec.json.encode(look(place)).decode())
    elif is_once:
        for line in plain_lines(compare(None, look(place))):
            typer.echo(line)
    else:
        run_loop(run)
