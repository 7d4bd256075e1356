"""The balancers that are measured: ours, and the peers, each in front of the same server in C."""

import os
import re
import shutil
import socket
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.rig.idle import idle_connections
from bench.rig.material import WORK, BenchImpossible, Material
from bench.rig.process import LOAD_CPU, MEASURED_CPU, Running, running, wait_until
from bench.rig.servers import Server

__all__ = ["bolide_balancer", "c_relay", "haproxy", "nginx", "node_http_proxy"]

_BACKEND_PORT = 9001  # as the peers' configurations say
_AT = re.compile(r"balances at 127\.0\.0\.1:(\d+)")
_PATIENCE_S = 10.0


def haproxy() -> Server:
    """Return HAProxy: TLS on both sides, the node's certificate verified, a cookie."""
    return _peer("haproxy", 8443, lambda _: ["haproxy", "-db", "-f", "conf/haproxy.cfg"])


def nginx() -> Server:
    """Return nginx, the same."""
    return _peer("nginx", 8444, lambda folder: ["nginx", "-c", str(folder / "conf/nginx.conf")])


def node_http_proxy() -> Server:
    """Return Node's http-proxy: what Meteor's balancer was made of."""
    return _peer("node-http-proxy", 8446, lambda _: ["node", "node/proxy.js", "8446", "http-proxy"])


def c_relay() -> Server:
    """Return the floor: C, epoll and OpenSSL, bytes only."""
    words = ["c/crelay", "-p", "8448", "-c", "certs/front.crt", "-k", "certs/front.key"]
    return _peer("c-floor", 8448, lambda _: [*words, "-a", "certs/ca.pem"])


def bolide_balancer(*, workers: int = 1, idle: int = 0) -> Server:
    """Return ours with everything on; supervisor and workers are measured.

    Args:
        workers: How many there are, on the same processor.
        idle: How many WebSockets that say nothing it carries besides.
    """

    @contextmanager
    def start(material: Material) -> Generator[Running]:
        certificates = material.folder / "certs"
        with _backend(material), TemporaryDirectory(dir=WORK) as name:
            folder = Path(name)
            settings = folder / "balancer.toml"
            settings.write_text(
                f'cluster = "bench"\nlisten = ["127.0.0.1:0"]\nworkers = {workers}\n'
                'management = "run/management.sock"\naccess_log = "access.log"\n'
                f'[[certificate]]\nchain = "{certificates}/front.crt"\n'
                f'key = "{certificates}/front.key"\n[nodes]\nverify = "name"\n'
                f'[nodes.tls]\nca = "{certificates}/ca.pem"\n[[nodes.static]]\nname = "n1"\n'
                f'address = "localhost:{_BACKEND_PORT}"\n[health]\npath = "/"\n',
                encoding="utf-8",
            )
            (certificates / "front.key").chmod(0o600)
            with running(
                [sys.executable, "-m", "bolide.ops", "balance", str(settings)],
                folder=folder,
                environment=os.environ,
                log=WORK / "bolide-balancer.log",
                find_port=_announced_port,
            ) as supervisor:
                balancer = replace(supervisor, others=tuple(_children(supervisor.pid)))
                with idle_connections(balancer, material, idle):
                    yield balancer

    name = "bolide" if workers == 1 else f"bolide-{workers}-workers"
    name += f"-{idle}-idle" if idle else ""
    return Server(name=name, path="/", start=start, is_ours=True, tls=True)


def _peer(name: str, port: int, command: Callable[[Path], Sequence[str]]) -> Server:
    @contextmanager
    def start(material: Material) -> Generator[Running]:
        words = command(material.folder)
        if "/" not in words[0] and shutil.which(words[0]) is None:
            raise BenchImpossible(f"Install {words[0]}: the balancer is measured beside it.")
        with (
            _backend(material),
            _listening(name, words, material.folder, port, MEASURED_CPU) as balancer,
        ):
            yield balancer

    return Server(name=name, path="/", start=start, tls=True)


@contextmanager
def _backend(material: Material) -> Generator[None]:
    """Run the server behind all of them, on the processor of the load."""
    certificate, key = map(str, material.certificate)
    words = [str(material.floor), "-p", str(_BACKEND_PORT), "-c", certificate, "-k", key]
    with _listening("backend", [*words, "-i", "n1"], material.folder, _BACKEND_PORT, LOAD_CPU):
        yield


@contextmanager
def _listening(
    name: str, words: Sequence[str], folder: Path, port: int, processor: int
) -> Generator[Running]:
    if not _is_open(port, wanted=False):
        raise BenchImpossible(f"Port {port} is taken, which the configuration of {name} names.")

    def find_port(written: str) -> int | None:
        return port if _is_open(port) else None

    with running(
        words,
        folder=folder,
        environment=os.environ,
        log=WORK / f"{name}.log",
        find_port=find_port,
        processor=processor,
    ) as server:
        yield server


def _is_open(port: int, *, wanted: bool = True) -> bool:
    """Tell whether somebody listens, or that nobody does; the one before may still be ending."""

    def is_so() -> bool:
        with socket.socket() as probe:
            return (probe.connect_ex(("127.0.0.1", port)) == 0) is wanted

    return is_so() if wanted else wait_until(is_so, timeout_s=_PATIENCE_S)


def _announced_port(written: str) -> int | None:
    found = _AT.search(written)
    return int(found[1]) if found else None


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
    return [int(word) for word in text.split()]
