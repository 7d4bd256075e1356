"""Start the measured program on a processor of its own, and read what it used."""

import os
import resource
import socket
import subprocess
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.rig.material import BenchImpossible

__all__ = [
    "LOAD_CPU",
    "MEASURED_CPU",
    "DidNotStart",
    "Running",
    "allow_many_sockets",
    "free_port",
    "running",
    "take_precedence",
    "wait_until",
    "wait_until_idle",
]

MEASURED_CPU = 0
LOAD_CPU = 1

_START_S = 30.0
_STOP_S = 15.0
_LOOK_AGAIN_S = 0.02
_SOCKETS = 20_000
_NICENESS = -10
_IDLE_FOR_S = 0.4
_IDLE_SHARE = 0.05  # of one processor; a node with sessions has timers


class DidNotStart(BenchImpossible):
    """A server ended or did not listen; the text repeats its last words."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that takes connections.

    Attributes:
        pid: Its process.
        port: Where it listens on loopback.
        log: What it wrote.
        others: Processes of its own that are measured, too.
    """

    pid: int
    port: int
    log: Path
    others: tuple[int, ...] = ()

    def cpu_s(self) -> float:
        """Return the CPU time of all its threads so far, seconds."""
        # clock_getcpuclockid(3) of Linux: the complement of the process, and kind 2 (scheduler).
        return time.clock_gettime((~self.pid << 3) | 2)

    def memory_kb(self) -> int:
        """Return its proportional set size, kB."""
        rollup = Path(f"/proc/{self.pid}/smaps_rollup").read_text(encoding="ascii")
        sizes = [line.split()[1] for line in rollup.splitlines() if line.startswith("Pss:")]
        return int(sizes[0])


def allow_many_sockets() -> None:
    """Let this process and those it starts open thousands of sockets."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _SOCKETS if hard == resource.RLIM_INFINITY else min(_SOCKETS, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))


def take_precedence() -> bool:
    """Let what this process starts go before other work of the machine, if we may.

    CPU time of a process that is interrupted all the time holds the refilling of its caches.
    """
    try:
        os.setpriority(os.PRIO_PROCESS, 0, _NICENESS)
    except PermissionError:
        return False
    return True


def free_port() -> int:
    """Return a port that was free a moment ago, for programs that cannot choose one."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str],
    *,
    folder: Path,
    environment: Mapping[str, str],
    log: Path,
    find_port: Callable[[str], int | None],
    processor: int = MEASURED_CPU,
) -> Generator[Running]:
    """Run a server on a processor for the time of the block.

    Args:
        command: Its words.
        folder: Its working directory.
        environment: Its variables.
        log: Takes what it writes.
        find_port: Is given what it wrote so far; returns the port when it listens.
        processor: Where it and its children run.

    Raises:
        DidNotStart: If it ends or does not listen in time.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            ["taskset", "-c", str(processor), *command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=dict(environment),
        )
    try:
        yield Running(process.pid, _listening_port(process, command, log, find_port), log)
    finally:
        process.terminate()
        try:
            process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def wait_until(is_so: Callable[[], bool], *, timeout_s: float) -> bool:
    """Look again and again until something is so; tell whether it came in time."""
    deadline = time.monotonic() + timeout_s
    while not is_so():
        if time.monotonic() > deadline:
            return False
        time.sleep(_LOOK_AGAIN_S)
    return True


def wait_until_idle(server: Running, *, timeout_s: float = 60.0) -> None:
    """Wait until a server has nothing left to do.

    Raises:
        BenchImpossible: If it stays busy.
    """
    deadline = time.monotonic() + timeout_s
    while True:
        before = server.cpu_s()
        time.sleep(_IDLE_FOR_S)
        if server.cpu_s() - before < _IDLE_SHARE * _IDLE_FOR_S:
            return
        if time.monotonic() > deadline:
            raise BenchImpossible(f"The server does not come to rest; see {server.log}.")


def _listening_port(
    process: subprocess.Popen[bytes],
    command: Sequence[str],
    log: Path,
    find_port: Callable[[str], int | None],
) -> int:
    found: list[int] = []

    def has_port_or_ended() -> bool:
        port = find_port(log.read_text(encoding="utf-8", errors="replace"))
        if port is not None:
            found.append(port)
        return bool(found) or process.poll() is not None

    wait_until(has_port_or_ended, timeout_s=_START_S)
    if found:
        return found[0]
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    last = next((line for line in reversed(lines) if line.strip()), "it said nothing")
    raise DidNotStart(f"{os.path.basename(command[0])} did not start: {last.strip()}")
