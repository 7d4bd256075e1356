"""The commands ``bolide balance``, ``bolide drain`` and ``bolide undrain``."""

import asyncio
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Final

import typer

from bolide.balancer.management.application import MAX_DRAIN_S
from bolide.balancer.members.member import MemberSource
from bolide.balancer.settings.reading import read_settings
from bolide.balancer.settings.settings import BalancerSettings
from bolide.balancer.supervisor.configuration import worker_count_of
from bolide.balancer.supervisor.listeners import Listeners
from bolide.balancer.supervisor.run import check_tls, run
from bolide.balancer.supervisor.supervisor import Supervisor
from bolide.core.errors import ConfigurationError
from bolide.ops.balancer.management import BalancerRefused, ask
from bolide.ops.terminal.failing import told
from bolide.ops.terminal.printable import printable

__all__ = ["Config", "Socket", "add_balancer_commands", "socket_of"]

_DEFAULT_SOCKET: Final = Path(BalancerSettings(file="", cluster="").management)

File = Annotated[Path, typer.Argument(metavar="FILE", help="Its settings, such as balancer.toml")]
Config = Annotated[Path | None, typer.Option(help="Settings of the balancer.", show_default=False)]
Socket = Annotated[
    Path | None, typer.Option(help="Its management socket.", show_default=str(_DEFAULT_SOCKET))
]
NodeName = Annotated[str, typer.Argument(metavar="NODE", help="Name of the node")]


def add_balancer_commands(app: typer.Typer) -> None:
    """Add the commands to ``bolide``."""
    for command in (balance, drain, undrain):
        app.command()(command)


def balance(
    file: File,
    check: Annotated[
        bool, typer.Option("--check", help="Only look whether the settings can be used.")
    ] = False,
) -> None:
    """Run a balancer until SIGTERM or Ctrl-C; SIGHUP reads its settings again."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr
    )
    with told():
        settings = read_settings(file)
        if check:
            _tell(settings, check_tls(settings))
            return
        raise typer.Exit(asyncio.run(run(file, on_ready=_announce, more_sources=_registry_sources)))


def drain(
    node: NodeName,
    within: Annotated[
        float,
        typer.Option(
            help="Seconds over which its clients are sent elsewhere.", min=0, max=MAX_DRAIN_S
        ),
    ] = 30.0,
    force: Annotated[
        bool, typer.Option("--force", help="Also if no other node gets new sessions.")
    ] = False,
    config: Config = None,
    socket: Socket = None,
) -> None:
    """Give a node no new sessions, and let it send its clients to the others."""
    with told():
        wish = {"node": node, "within": within, "force": force}
        answer = ask(socket_of(config, socket), "/drain", wish, takes_s=within)
        typer.echo(f"{printable(node)} gets no new sessions.")
        if answer.get("told"):
            typer.echo(f"It sends its clients elsewhere within {within:g} s.")
        else:
            problem = answer.get("problem") or "nobody knows why"
            raise BalancerRefused(
                f"It was not told to send its clients elsewhere: {problem}. They stay until they"
                " leave; bolide top --balancer shows how many are there."
            )


def undrain(node: NodeName, config: Config = None, socket: Socket = None) -> None:
    """Give a node new sessions again; a node that drained itself must be started anew."""
    with told():
        ask(socket_of(config, socket), "/undrain", {"node": node})
        typer.echo(f"{printable(node)} gets new sessions again once it says that it is ready.")
        typer.echo("If it was told to drain, that is when it was started anew.")


def socket_of(config: Path | None, socket: Path | None) -> Path:
    """Return the management socket that is meant.

    Args:
        config: Settings of a balancer, None if not given.
        socket: Its socket, None if not given.

    Raises:
        ConfigurationError: If the settings cannot be read.
    """
    if socket is not None:
        return socket
    return _DEFAULT_SOCKET if config is None else Path(read_settings(config).management)


def _registry_sources(settings: BalancerSettings) -> Mapping[str, MemberSource]:
    """Return where nodes announce themselves; it is read with the server's own stores."""
    if not settings.nodes.registry:
        return {}
    try:
        from bolide.ops.registry.registry_source import registry_sources
    except ModuleNotFoundError as error:
        needed = "left out where only the balancer is installed; pip install 'bolide[all]' for it"
        raise ConfigurationError("nodes.registry", "a store's URL", needed) from error
    return registry_sources(settings)


def _announce(supervisor: Supervisor, listeners: Listeners) -> None:
    addresses = ", ".join(map(str, listeners.addresses))
    count = supervisor.pool.ready_count
    workers = "1 worker" if count == 1 else f"{count} workers"
    typer.echo(f"Bolide balances at {addresses} with {workers}")
    sys.stdout.flush()


def _tell(settings: BalancerSettings, warnings: list[str]) -> None:
    """Say what a balancer with these settings would do."""
    listen = ", ".join(map(str, (*settings.listen, *settings.proxied_listen)))
    typer.echo(f"{settings.file}: these settings can be used.")
    typer.echo(f"  cluster      {printable(settings.cluster)}")
    typer.echo(f"  listens at   {listen}")
    if settings.redirect:
        typer.echo(f"  redirects at {', '.join(map(str, settings.redirect))}")
    typer.echo(f"  workers      {worker_count_of(settings)}")
    typer.echo(f"  certificates {len(settings.certificate)}")
    names = ", ".join(printable(member.name) for member in settings.nodes.static)
    if names:
        typer.echo(f"  nodes        {names}")
    for warning in warnings:
        typer.echo(f"Warning: {warning}", err=True)
