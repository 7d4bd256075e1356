"""Say what was measured, where and when."""

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.rig.material import PROJECT

__all__ = ["Surroundings", "describe_surroundings"]

_MEASURED = ("core", "server", "ops", "bench/apps", "requirements")


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What a reader needs to compare a table with another.

    Attributes:
        date: Of the run, UTC.
        commit: What was measured; with ``+changes`` if the code that is measured differs
            from it.
        machine: Processor, kernel and versions, one line.
        load: Load average of one minute when the run began: other work on the machine.
    """

    date: str
    commit: str
    machine: str
    load: float


def describe_surroundings() -> Surroundings:
    """Look at the machine and the work tree."""
    commit = _output("git", "rev-parse", "--short", "HEAD")
    if _output("git", "status", "--porcelain", "--", *_MEASURED):
        commit += "+changes"
    return Surroundings(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        commit=commit,
        machine=(
            f"{os.cpu_count()} x {_processor()}, Linux {platform.release()},"
            f" Python {platform.python_version()}, Node {_output('node', '--version')}"
        ),
        load=os.getloadavg()[0],
    )


def _output(*command: str) -> str:
    done = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=False)
    return done.stdout.strip()


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        name, _, text = line.partition(":")
        if name.strip() == "model name":
            return text.strip()
    return platform.machine()
