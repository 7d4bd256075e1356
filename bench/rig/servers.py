"""The servers that are measured: Bolide nodes, and the peers."""

import os
import re
import socket
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.rig.material import PROJECT, WORK, Material
from bench.rig.process import Running, free_port, running

__all__ = ["HOST", "Server", "bolide", "c_floor", "node_ws", "prototype"]

HOST = "bolide.test"
"""What the load generator sends as ``Host`` and, with ``https``, as ``Origin``."""

_APPS = PROJECT / "bench" / "apps"
_AT = re.compile(r" at https?://\S+:(\d+)/")
# Silence of a whole round must not add pings to it; the timers run all the same.
_HEARTBEAT_S = "120"


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """A program that can be measured.

    Attributes:
        name: What tables call it.
        path: Path of its WebSocket.
        start: Runs it for the time of a block.
        is_ours: It is a Bolide node: it speaks DDP, and goals are for it.
        tls: It speaks TLS.
    """

    name: str
    path: str
    start: Callable[[Material], AbstractContextManager[Running]]
    is_ours: bool = False
    tls: bool = False


def node_ws(*, tls: bool = False) -> Server:
    """Return Node's ``ws``, which sends a ready text to all, or answers a request."""

    def start(material: Material) -> AbstractContextManager[Running]:
        def command(port: int) -> list[str]:
            words = ["node", str(material.node_server), "ws", str(port)]
            return [*words, "tls"] if tls else words

        return _peer("node-ws", command, material)

    return Server(name="node-ws", path="/", start=start, tls=tls)


def c_floor(*, tls: bool = False) -> Server:
    """Return the floor: C, epoll and OpenSSL, nothing else."""

    def start(material: Material) -> AbstractContextManager[Running]:
        def command(port: int) -> list[str]:
            certificate, key = map(str, material.certificate)
            words = [str(material.floor), "-p", str(port)]
            return [*words, "-c", certificate, "-k", key] if tls else words

        return _peer("c-floor", command, material)

    return Server(name="c-floor", path="/", start=start, tls=tls)


def prototype(*, tls: bool = False) -> Server:
    """Return uvicorn with a lean WebSocket class and no DDP: what our stack could reach."""

    def start(material: Material) -> AbstractContextManager[Running]:
        def command(port: int) -> list[str]:
            words = [*map(str, material.prototypes), "uvicorn-lean", str(port)]
            return [*words, "loop=uvloop", "tls"] if tls else words

        return _peer("uvicorn-lean", command, material)

    return Server(name="uvicorn-lean", path="/", start=start, tls=tls)


def bolide(
    app: str,
    *,
    store: str,
    tls: bool = False,
    name: str | None = None,
    launcher: Sequence[str] | None = None,
) -> Server:
    """Return a node that serves one of our apps with ``bolide run``, all limits on.

    Args:
        app: Module in ``bench/apps``.
        store: ``"memory"`` or ``"sqlite"``; the file is new each time, and on a disk.
        tls: Let it speak TLS.
        name: What tables call it; ``bolide-`` plus the store if None.
        launcher: Words between ``python`` and those of ``bolide``; ``-m bolide.ops`` if None.
    """

    @contextmanager
    def start(material: Material) -> Generator[Running]:
        variables = {key: text for key, text in os.environ.items() if not _is_setting(key)}
        variables["PYTHONPATH"] = str(PROJECT)  # for what is in bench, from another folder
        variables["BOLIDE_PUBLIC_URL"] = f"https://{HOST}"
        variables["BOLIDE_HEARTBEAT_INTERVAL_S"] = _HEARTBEAT_S
        if tls:
            certificate, key = map(str, material.certificate)
            variables |= {"BOLIDE_TLS_CERT": certificate, "BOLIDE_TLS_KEY": key}
        with TemporaryDirectory(dir=WORK) as folder:
            url = "memory:" if store == "memory" else f"sqlite:///{folder}/bench.db"
            words = launcher or ("-m", "bolide.ops")
            command = [sys.executable, *words, "run", f"{app}:app", "--app-dir", str(_APPS)]
            with running(
                [*command, "--port", "0", "--store", url],
                folder=Path(folder),
                environment=variables,
                log=WORK / f"{name or f'bolide-{store}'}.log",
                find_port=_announced_port,
            ) as server:
                yield server

    return Server(
        name=name or f"bolide-{store}", path="/websocket", start=start, is_ours=True, tls=tls
    )


def _peer(
    name: str, command: Callable[[int], list[str]], material: Material
) -> AbstractContextManager[Running]:
    port = free_port()

    def find_port(written: str) -> int | None:
        with socket.socket() as probe:
            return port if probe.connect_ex(("127.0.0.1", port)) == 0 else None

    return running(
        command(port),
        folder=material.folder,
        environment=os.environ,
        log=WORK / f"{name}.log",
        find_port=find_port,
    )


def _announced_port(written: str) -> int | None:
    found = _AT.search(written)
    return int(found[1]) if found else None


def _is_setting(variable: str) -> bool:
    return variable.startswith("BOLIDE_")
