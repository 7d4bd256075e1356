"""What processes on one file tell each other, seen in their system calls."""

import asyncio
import os
import re
import sys
from pathlib import Path

from tests.integration.sqlite.conftest import WORKER, OpenFile

SENT = re.compile(r"sendto\(\d+<.*?>, (.*), \d+, \{sa_family=AF_UNIX")


async def test_a_wake_up_says_nothing(strace: str, open_file: OpenFile, path: Path) -> None:
    await open_file()  # to be woken
    trace = path.with_name("trace")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(
        *(strace, "-f", "-y", "-e", "trace=sendto,sendmsg", "-o", str(trace)),
        *(sys.executable, str(WORKER), str(path), "record", "5"),
        stdout=asyncio.subprocess.DEVNULL,
        env={name: value for name, value in environment.items() if "COVERAGE" not in name},
    )
    assert await process.wait() == 0
    wakeups = [found[1] for found in map(SENT.search, trace.read_text().splitlines()) if found]
    assert len(wakeups) == 5
    assert set(wakeups) == {'"", 0'}
