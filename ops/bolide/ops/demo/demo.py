"""Run the ward example: its node, its monitor gateway and a view of its board."""

import importlib
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Protocol, cast
from urllib.parse import quote

from bolide.core.errors import ConfigurationError
from bolide.ops.node.app_module import load_app
from bolide.ops.node.listener import bind_first_free, url_of
from bolide.ops.node.node_service import node_running
from bolide.ops.node.run import NOT_FOR_PHI
from bolide.ops.node.service import stop_signals
from bolide.ops.race import first_of
from bolide.ops.watch.watch import Display, watch
from bolide.server.settings import Settings

__all__ = ["examples_folder", "run_demo", "store_url"]

_HOST = "127.0.0.1"
_PACKAGE = Path(__file__).parents[1]
_PLACES = (_PACKAGE / "_examples", _PACKAGE.parents[2] / "examples")
"""Where the examples are: in an installed wheel, in a checkout."""


class _Monitor(Protocol):
    """``ward.monitor.monitor``, which cannot be imported by name before its folder is known."""

    async def __call__(self, url: str, *, interval_s: float) -> None: ...


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
    port: int,
    *,
    interval_s: float,
    display: Callable[[str], Display],
    say: Callable[[str], object],
) -> None:
    """Run the demo until SIGINT or SIGTERM.

    Args:
        store: URL of the store.
        port: Where the node listens, or at the next free port.
        interval_s: Time between two readings of the monitors, seconds.
        display: Given the board's URL, makes what shows the ward.
        say: Takes the lines for the person who looks, when the node takes sessions.

    Raises:
        ConfigurationError: If the store cannot be used or no port is free.
    """
    app = load_app("ward.app:app", examples_folder())
    monitor = cast("_Monitor", importlib.import_module("ward.monitor").monitor)
    with closing(bind_first_free(_HOST, port)) as listener, stop_signals() as stopped:
        url = url_of(listener, _HOST)
        async with node_running(app, Settings(store=store), listener):
            say(f"Ward board: {url}")
            say(NOT_FOR_PHI)
            await first_of(
                stopped.wait(),
                monitor(url, interval_s=interval_s),
                watch(url, "ward.board", ["7"], display(url)),
            )
