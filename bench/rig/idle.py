"""WebSockets through a balancer that say nothing while others are measured."""

import os
import subprocess
from collections.abc import Generator
from contextlib import ExitStack, contextmanager

from bench.rig.material import BenchImpossible, Material
from bench.rig.process import LOAD_CPU, Running, wait_until

__all__ = ["idle_connections"]

_AT_ONCE = 500  # more would wait longer for their handshake than they are given
_SOCKETS_PER_CONNECTION = 2
_PATIENCE_S = 120.0
_FOREVER_S = 36_000


@contextmanager
def idle_connections(balancer: Running, material: Material, number: int) -> Generator[None]:
    """Keep connections open for the time of the block.

    Args:
        balancer: With all its workers in ``others``.
        material: The tools.
        number: How many, at least; they are opened some hundreds at a time.

    Raises:
        BenchImpossible: If they do not come about.
    """
    with ExitStack() as stack:
        before = _open_files(balancer)
        opened = 0
        while opened < number:
            stack.enter_context(_load(balancer, material))
            opened += _AT_ONCE
            if not _has_files(balancer, before + opened * _SOCKETS_PER_CONNECTION):
                raise BenchImpossible(f"{opened} idle connections do not come about.")
        yield


@contextmanager
def _load(balancer: Running, material: Material) -> Generator[None]:
    words = ["taskset", "-c", str(LOAD_CPU), str(material.load_generator), "-T", "-p", "/"]
    words += ["-P", str(balancer.port), "-m", "idle", "-c", str(_AT_ONCE), "-d", str(_FOREVER_S)]
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def _has_files(balancer: Running, number: int) -> bool:
    """Wait until workers have so many files open; tell whether that came."""
    return wait_until(lambda: _open_files(balancer) >= number, timeout_s=_PATIENCE_S)


def _open_files(balancer: Running) -> int:
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in balancer.others)
