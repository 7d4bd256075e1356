"""Run a balancer until the operator says stop."""

import asyncio
import logging
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Final

from bolide.balancer.management.application import create_management
from bolide.balancer.management.server import serving
from bolide.balancer.management.unix_socket import management_socket
from bolide.balancer.members.member import MemberSource
from bolide.balancer.relay.relay import DESCRIPTORS_PER_CONNECTION
from bolide.balancer.settings.reading import read_settings
from bolide.balancer.settings.settings import BalancerSettings
from bolide.balancer.supervisor.configuration import node_tls_of, worker_count_of
from bolide.balancer.supervisor.listeners import Listeners
from bolide.balancer.supervisor.supervisor import MoreSources, Supervisor
from bolide.balancer.tls.node_context import NodeContext
from bolide.balancer.tls.openssl_configuration import (
    VARIABLE,
    check_client,
    check_server,
    openssl_environment,
)
from bolide.balancer.tls.server_context import ServerContext

__all__ = ["WORKER_COMMAND", "check_tls", "run", "use_own_openssl"]

WORKER_COMMAND: Final[Sequence[str]] = (sys.executable, "-m", "bolide.balancer.worker")

_PATIENCE_S: Final = 1.0
"""Further signals mean the same as the first one for so long; then one ends everything."""
_OTHER_DESCRIPTORS: Final = 64
"""Of a worker: listening sockets, the log, what the interpreter has open."""

_logger = logging.getLogger("bolide.balancer")


def use_own_openssl(settings: BalancerSettings) -> None:
    """Begin this program anew with an OpenSSL that negotiates what it should, unless it has.

    OpenSSL reads its configuration when a process begins; ``ssl`` cannot choose all of it later.

    Args:
        settings: The configuration is written beside the management socket.

    Raises:
        OSError: If it cannot be written.
    """
    if os.environ.get(VARIABLE):
        return
    folder = Path(settings.management).parent
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    environment = openssl_environment(folder, os.environ)
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)


def check_tls(settings: BalancerSettings) -> list[str]:
    """Refuse TLS that negotiates something else than it should.

    Returns:
        What the operator should know of certificates, one line each.

    Raises:
        ConfigurationError: If a file cannot be used, or OpenSSL is not as it should be.
    """
    server = ServerContext(settings.certificate)
    check_server(server.context)
    client = NodeContext(node_tls_of(settings), settings.cluster).context
    if client is not None:
        check_client(client)
    return server.warnings()


async def run(
    file: Path,
    *,
    on_ready: Callable[[Supervisor, Listeners], None],
    more_sources: MoreSources | None = None,
    command: Sequence[str] = WORKER_COMMAND,
) -> int:
    """Run a balancer until SIGTERM or SIGINT; SIGHUP reads the settings again.

    Args:
        file: Its settings.
        on_ready: Called when its workers work.
        more_sources: Makes further sources of members.
        command: Program of a worker and its arguments.

    Returns:
        Exit status of the process: 0 if every connection ended or its time was over, 1 if a second
        signal ended everything at once.

    Raises:
        BolideError: If it cannot start.
    """
    settings = _read(file)
    _raise_descriptor_limit(settings)
    with ExitStack() as stack:
        listener = stack.enter_context(management_socket(Path(settings.management)))
        listeners = Listeners(settings)
        stack.callback(listeners.close)
        supervisor = Supervisor(
            settings,
            listeners,
            command=command,
            environment=os.environ,
            more_sources=more_sources or _no_sources,
        )
        signals = _Signals(lambda: supervisor.reload(partial(_read, file)))
        stack.enter_context(signals)
        try:
            async with serving(create_management(supervisor), listener):
                starting = asyncio.create_task(supervisor.start())
                stopping = asyncio.create_task(signals.stopped.wait())
                await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
                if starting.done():
                    stopping.cancel()
                    await starting
                    on_ready(supervisor, listeners)
                    await signals.stopped.wait()
                else:
                    starting.cancel()
                    await asyncio.wait({starting})
                retiring = asyncio.create_task(supervisor.retire())
                hurrying = asyncio.create_task(signals.hurried.wait())
                await asyncio.wait((retiring, hurrying), return_when=asyncio.FIRST_COMPLETED)
                hurrying.cancel()
                return 1 if signals.hurried.is_set() else 0
        finally:
            await supervisor.close()


class _Signals:
    """What the operator wishes of this process, for the time of the block.

    Args:
        reload: Reads the settings again.

    Attributes:
        stopped: It shall end.
        hurried: It shall end at once.
    """

    def __init__(self, reload: Callable[[], Awaitable[object]]) -> None:
        self.stopped = asyncio.Event()
        self.hurried = asyncio.Event()
        self._reload = reload
        self._reloads: set[asyncio.Future[object]] = set()
        self._stopped_at = 0.0

    def __enter__(self) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._on_reload)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._on_stop)

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGHUP, signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)

    def _on_reload(self) -> None:
        reload = asyncio.ensure_future(self._reload())
        self._reloads.add(reload)
        reload.add_done_callback(self._reloads.discard)

    def _on_stop(self) -> None:
        now = asyncio.get_running_loop().time()
        if not self.stopped.is_set():
            self._stopped_at = now
            self.stopped.set()
        elif now - self._stopped_at >= _PATIENCE_S:
            self.hurried.set()


def _read(file: Path) -> BalancerSettings:
    """Read the settings, and try the TLS that they ask for.

    Raises:
        ConfigurationError: If something cannot be used.
    """
    settings = read_settings(file)
    for warning in check_tls(settings):
        _logger.warning("%s", warning)
    return settings


def _no_sources(settings: BalancerSettings) -> Mapping[str, MemberSource]:
    if settings.nodes.registry:
        _logger.error("nodes.registry is set, and this program cannot read it: it is passed over")
    return {}


def _raise_descriptor_limit(settings: BalancerSettings) -> None:
    """Let workers have as many descriptors as they may, and tell if that is too few."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    carried = (most - _OTHER_DESCRIPTORS) // DESCRIPTORS_PER_CONNECTION
    workers = worker_count_of(settings)
    _logger.info("%d workers carry up to %d connections each", workers, carried)
    if carried < settings.limits.max_connections:
        _logger.warning(
            "a worker may have %d descriptors, which are enough for %d connections and not for"
            " limits.max_connections, %d: raise it (LimitNOFILE= of a unit,"
            " ulimit -Hn of a shell), or lower the limit",
            most,
            carried,
            settings.limits.max_connections,
        )
