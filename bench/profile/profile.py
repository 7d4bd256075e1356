"""Show where a node's CPU, its system calls or its memory go in one row."""

import json
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from bench.rig.load import QuietSpan, Reading
from bench.rig.material import WORK, BenchImpossible, Material
from bench.rig.process import Running, wait_until
from bench.rig.servers import Server
from bench.rows import Row, measure_memory

__all__ = ["profile_row", "read_syscalls"]

_REST_S = 0.25
_LOOK_S = 0.02
_WRITE_S = 60.0
_SHOWN = 25
_SENDING = frozenset({"write", "writev", "sendto", "sendmsg"})


def profile_row(row: Row, material: Material, console: Console) -> None:
    """Run one row under each profiler there is, and print what they saw.

    Args:
        row: Which.
        material: The tools.
        console: Takes the tables.

    Raises:
        BenchImpossible: If the node does not start, or a profiler fails.
    """
    recorded, reading = _recorded(row, material)
    if row.kind == "memory":
        _print_growth(recorded, reading.messages, console)
        return
    _print_cpu(recorded, reading.messages, console)
    for program, profiler in (("strace", _syscalls), ("perf", _machine_code)):
        if shutil.which(program) is None:
            console.print(f"{program} is not installed; its part is left out.")
        else:
            profiler(row, material, console)


def read_syscalls(summary: str) -> dict[str, int]:
    """Return calls by name from what ``strace -c -U calls,name`` wrote."""
    counts: dict[str, int] = {}
    for line in summary.splitlines():
        match line.split():
            case [calls, name] if calls.isdigit() and name != "total":
                counts[name] = int(calls)
            case _:
                continue
    return counts


def _recorded(row: Row, material: Material) -> tuple[dict[str, Any], Reading]:
    """Run the row with the recording of :mod:`bench.profile.profiled`."""
    file = WORK / "recorded.json"
    file.unlink(missing_ok=True)
    server = row.profiled(("-m", "bench.profile.profiled", row.kind, str(file)))
    with server.start(material) as running:
        reading = _while_measured(
            row,
            server,
            running,
            material,
            begin=lambda: os.kill(running.pid, signal.SIGUSR1),
            end=lambda: _end_recording(running, file),
        )
    recorded: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return recorded, reading


def _end_recording(running: Running, file: Path) -> None:
    os.kill(running.pid, signal.SIGUSR2)
    if not wait_until(file.is_file, timeout_s=_WRITE_S):
        raise BenchImpossible("The recording was not written.")


def _while_measured(
    row: Row,
    server: Server,
    running: Running,
    material: Material,
    *,
    begin: Callable[[], object],
    end: Callable[[], object],
) -> Reading:
    """Measure; call ``begin`` when the sessions are open, ``end`` when the last was answered."""
    readings: list[Reading] = []
    if row.kind == "memory":
        return measure_memory(running, begin=begin, end=end)
    measuring = threading.Thread(
        target=lambda: readings.append(row.measure(server, running, material))
    )
    measuring.start()
    rest = QuietSpan()
    while measuring.is_alive() and rest.longest_s < _REST_S:
        rest.look(time.monotonic(), running.cpu_s())
        time.sleep(_LOOK_S)
    begin()
    measuring.join()
    end()
    if not readings or not readings[0].messages:
        raise BenchImpossible("Nothing was measured; look at the logs in .bench.")
    return readings[0]


def _print_cpu(recorded: dict[str, Any], messages: int, console: Console) -> None:
    per_sample = recorded["cpu_s"] * 1e6 / messages / max(recorded["samples"], 1)
    total = recorded["cpu_s"] * 1e6 / messages
    for key, title in (
        ("own", "in the function itself and the C that it calls"),
        ("within", "in the function and all that it calls"),
        ("lines", "by line"),
    ):
        table = Table(title=f"us of CPU per message, {title}; {total:.1f} together")
        table.add_column("us", justify="right")
        table.add_column("%", justify="right")
        table.add_column("where", no_wrap=True)
        for where, count in recorded[key][:_SHOWN]:
            share = 100 * count / recorded["samples"]
            table.add_row(f"{count * per_sample:.2f}", f"{share:.1f}", where)
        console.print(table)


def _print_growth(recorded: dict[str, Any], sessions: int, console: Console) -> None:
    table = Table(
        title=f"bytes per session by line, {recorded['bytes'] / sessions:.0f} seen together;"
        " memory that C allocates itself is not seen"
    )
    for heading in ("bytes", "blocks"):
        table.add_column(heading, justify="right")
    table.add_column("where", no_wrap=True)
    for where, size, blocks in recorded["lines"]:
        table.add_row(f"{size / sessions:.0f}", f"{blocks / sessions:.1f}", where)
    console.print(table)


def _syscalls(row: Row, material: Material, console: Console) -> None:
    """Count the system calls per message."""
    summary = WORK / "strace.txt"
    reading = _beside(
        row, material, ["strace", "-f", "-c", "-U", "calls,name", "-o", str(summary), "-p"]
    )
    counts = read_syscalls(summary.read_text(encoding="utf-8"))
    sending = sum(count for name, count in counts.items() if name in _SENDING)
    table = Table(
        title=f"system calls per message (strace); {sending / reading.messages:.2f} of them send"
    )
    table.add_column("calls", justify="right")
    table.add_column("name")
    for name, count in sorted(counts.items(), key=lambda item: -item[1]):
        if count / reading.messages >= 0.001:
            table.add_row(f"{count / reading.messages:.3f}", name)
    console.print(table)


def _machine_code(row: Row, material: Material, console: Console) -> None:
    """Show what the processor ran: kernel, interpreter, libraries."""
    data = str(WORK / "perf.data")
    _beside(row, material, ["perf", "record", "-q", "-F", "997", "-o", data, "-p"])
    for sort, least in (("dso", "0.5"), ("dso,symbol", "1")):
        words = ["perf", "report", "-q", "-i", data, "--stdio", "--sort", sort]
        report = subprocess.run(
            [*words, "--percent-limit", least],
            capture_output=True,
            text=True,
            check=False,
        )
        if report.returncode != 0:
            console.print("perf cannot record on this machine; its part is left out.")
            return
        console.print(f"CPU by {sort} (perf), percent:")
        for line in report.stdout.splitlines():
            if line.strip():
                console.print(line.removesuffix("-      -").rstrip(), markup=False, soft_wrap=True)


def _beside(row: Row, material: Material, command: Sequence[str]) -> Reading:
    """Run a row while another program looks at the node, whose process id follows its words."""
    server = row.profiled(None)
    with server.start(material) as running:
        looking: list[subprocess.Popen[bytes]] = []

        def begin() -> None:
            looking.append(
                subprocess.Popen(
                    [*command, str(running.pid)],
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                )
            )

        def end() -> None:
            looking[0].send_signal(signal.SIGINT)
            looking[0].wait(_WRITE_S)

        return _while_measured(row, server, running, material, begin=begin, end=end)
