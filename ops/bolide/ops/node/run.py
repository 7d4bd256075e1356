"""Run one app until the operator says stop."""

import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack, closing
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

from bolide.core.errors import ConfigurationError
from bolide.ops.loop import stop_signals
from bolide.ops.node.listener import PortInUse, bind, url_of
from bolide.ops.node.node_service import check_exposure, node_running
from bolide.ops.node.reloader import run_reloading
from bolide.ops.node.tls import tls_of
from bolide.ops.race import first_of
from bolide.server.app import App
from bolide.server.logging.log import shows_texts
from bolide.server.settings import Settings

__all__ = [
    "INSECURE_DEV",
    "NOT_FOR_PHI",
    "NOT_SHOWN",
    "PLAIN_HTTP",
    "run_node",
    "run_node_reloading",
    "settings_for",
]

INSECURE_DEV = (
    "INSECURE: the texts of errors, which may hold patient data, are shown on the terminal."
)
NOT_SHOWN = (
    "insecure_dev is on, but the log goes to no terminal: texts of errors are left out of it."
)
PLAIN_HTTP = "Warning: plain HTTP. Only this machine can connect; others need TLS (--tls-cert)."
NOT_FOR_PHI = "Not for real PHI yet: there are no accounts, no audit log and no field encryption."


def settings_for(app: App, settings: Settings, flags: Mapping[str, object]) -> Settings:
    """Return the settings of an app: those it was made with, if any, changed by flags.

    Args:
        app: What will be served.
        settings: Those of the flags, the environment and the file.
        flags: Name -> value of the command line; None values were not given.

    Raises:
        ConfigurationError: If a value cannot work.
    """
    if app.settings is None:
        return settings
    # Values have the types of their settings: read_settings() checked them.
    given = {name: value for name, value in flags.items() if value is not None}
    return replace(app.settings, **given)  # type: ignore[arg-type]


async def run_node(name: str, app: App, settings: Settings, say: Callable[[str], object]) -> None:
    """Serve an app until SIGINT or SIGTERM.

    Args:
        name: What the operator calls it.
        app: What to serve.
        settings: How.
        say: Takes the lines for the operator, when the node takes sessions.

    Raises:
        ConfigurationError: If a setting, a port, a TLS file or the store cannot be used.
        NodeNotStarted: If a start-up hook fails.
    """
    check_exposure(settings)
    tls = tls_of(settings)
    with ExitStack() as stack:
        listener = stack.enter_context(closing(bind(settings.host, settings.port)))
        port: int = listener.getsockname()[1]
        management = None
        if settings.management_port is not None:
            management = stack.enter_context(
                closing(_bind_management(settings.management_host, settings.management_port, port))
            )
        stopped = stack.enter_context(stop_signals())
        async with node_running(app, settings, listener, management) as node:
            url = url_of(listener, settings.host, secure=tls is not None)
            say(f"Bolide {version('bolide')} serves {name} at {url}")
            if management is not None:
                is_secure = tls is not None and tls.managers is not None
                where = url_of(management, settings.management_host, secure=is_secure)
                say(f"Health and metrics: {where}readyz")
            if settings.insecure_dev:
                say(INSECURE_DEV if shows_texts() else NOT_SHOWN)
            if tls is None:
                say(PLAIN_HTTP)
            elif tls.warning is not None:
                say(f"Warning: {tls.warning}.")
            if node.redis is not None and not node.redis.link.state.is_connected:
                say(
                    f"Warning: Redis {node.redis.link.state.because}. The node goes on without it,"
                    " and looks for it."
                )
            if tls is not None and tls.clients is not None:
                say(f"Only balancers of the cluster {settings.cluster} may connect.")
            say(NOT_FOR_PHI)
            await stopped.wait()


def _bind_management(host: str, port: int, own_port: int) -> socket.socket:
    try:
        return bind(host, port, option="management_port")
    except PortInUse as error:
        if port == own_port:
            expected = "another port than the node's own, at which it takes sessions"
            raise ConfigurationError(error.option, port, expected) from None
        raise


async def run_node_reloading(
    name: str, folder: Path, flags: Mapping[str, object], say: Callable[[str], object]
) -> None:
    """Serve an app from a process of its own, anew after each change of its source.

    Args:
        name: ``module:attribute``.
        folder: Where the module is; watched.
        flags: Further flags by name of their setting; None values were not given.
        say: Takes the lines for the operator.
    """
    command = [sys.executable, "-m", "bolide.ops", "run", name, "--app-dir", str(folder)]
    for setting, value in flags.items():
        if value is not None:
            flag = f"--{setting.replace('_', '-')}"
            command += [flag] if value is True else [flag, str(value)]
    say(f"Watching {folder} for changes.")
    with stop_signals() as stopped:
        await first_of(
            run_reloading(command, folder, say=say),
            stopped.wait(),
        )
