"""What is acknowledged is on the disk: seen in the system calls of a process that writes."""

import asyncio
import os
import re
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.integration.sqlite.conftest import WORKER

ACKNOWLEDGED = 25

CALL = re.compile(r"(\d+) +(\w+)\((\d+)<([^>]*)>,? ?(.*)")
RESUMED = re.compile(r"(\d+) +<\.\.\. (\w+) resumed>.* = (-?\d+)")


@dataclass(frozen=True)
class Step:
    """A write to the log, its synchronisation, or an acknowledgement, in the order of their ends.

    Attributes:
        kind: ``write``, ``sync`` or ``acknowledged``.
        data: What was written, as strace shows it.
    """

    kind: str
    data: str = ""


def steps_of(trace: str, log: str) -> list[Step]:
    """Read a trace; a call that was interrupted counts where it ended."""
    steps: list[Step] = []
    pending: dict[tuple[str, str], Step] = {}
    for line in trace.splitlines():
        if (call := CALL.match(line)) is not None:
            process, name, descriptor, file, rest = call.groups()
            if name == "pwrite64" and file == log:
                step = Step("write", rest)
            elif name in ("fsync", "fdatasync") and file == log:
                step = Step("sync")
            elif name == "write" and descriptor == "1" and '"done ' in rest:
                step = Step("acknowledged", rest)
            else:
                continue
            if "<unfinished ...>" in line:
                pending[process, name] = step
            else:
                # A synchronisation that failed would prove nothing.
                assert not line.endswith("= -1"), line
                steps.append(step)
        elif (end := RESUMED.match(line)) is not None:
            process, name, result = end.groups()
            if (process, name) in pending:
                assert not result.startswith("-"), line
                steps.append(pending.pop((process, name)))
    return steps


@pytest.mark.parametrize("task", ["record", "crowd"])
async def test_the_log_is_synchronised_before_each_acknowledgement(
    strace: str, path: Path, task: str
) -> None:
    trace = path.with_name("trace")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    calls = "trace=fsync,fdatasync,pwrite64,write,sendto"
    process = await asyncio.create_subprocess_exec(
        *(strace, "-f", "-y", "-s", "5000", "-e", calls, "-o", str(trace)),
        *(sys.executable, str(WORKER), str(path), task),
        stdout=asyncio.subprocess.PIPE,
        env={name: value for name, value in environment.items() if "COVERAGE" not in name},
    )
    assert process.stdout is not None
    heard, worker = 0, 0
    async for line in process.stdout:
        if line.startswith(b"done "):
            heard += 1
            worker = int(line.removeprefix(b"done ").partition(b"-")[0])
        if heard == ACKNOWLEDGED:
            break
    # strace ends when what it runs has ended, and has written all it saw by then.
    os.kill(worker, signal.SIGKILL)
    async with asyncio.timeout(30):
        await process.communicate()
    steps = steps_of(trace.read_text(errors="replace"), f"{path}-wal")
    acknowledged = [number for number, step in enumerate(steps) if step.kind == "acknowledged"]
    assert len(acknowledged) >= ACKNOWLEDGED
    for end in acknowledged:
        said = re.search(r'"done ([\w-]+)', steps[end].data)
        assert said is not None
        written = [n for n in range(end) if steps[n].kind == "write" and said[1] in steps[n].data]
        assert written, f"{said[1]} was acknowledged and is not in the log"
        assert any(step.kind == "sync" for step in steps[written[0] : end])
