"""Nodes in processes of their own, on one database file, that can be killed and come back."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["TIMEOUT_S", "Cluster", "NodeProcess"]

TIMEOUT_S = 60 * float(os.environ.get("BOLIDE_TESTS_TIMEOUT_FACTOR", "1"))

_FOLDER = Path(__file__).parent
_LISTENS = re.compile(r"http://127\.0\.0\.1:(\d+)/")


class NodeProcess:
    """One ``bolide run``; it keeps its port when it comes back.

    Args:
        database: Its store, in the folder in which it runs.
        app: What it serves; in a module beside this one.
        environment: Further variables.

    Attributes:
        output: What it has said since it was started last.
    """

    def __init__(
        self,
        database: Path,
        app: str = "counting:app",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._database = database
        self._app = app
        self._environment = environment or {}
        self._port = 0
        self._process: asyncio.subprocess.Process | None = None
        self._reading: asyncio.Task[None] | None = None
        self._news = asyncio.Event()
        self.output = ""

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._port}"

    async def start(self) -> None:
        """Start it; returns when it takes sessions."""
        # Not measured: who is killed leaves half a file of measurements.
        environment = {
            name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")
        }
        environment |= {
            "BOLIDE_STORE": f"sqlite:///{self._database}",
            "PYTHONPATH": os.pathsep.join([str(_FOLDER), *sys.path]),
            "PYTHONUNBUFFERED": "1",
            # So long a repeated call waits for its first run in a process that is gone.
            "BOLIDE_CALL_WAIT_S": "1",
            **self._environment,
        }
        self.output = ""
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bolide.ops", "run", self._app),
            *("--host", "127.0.0.1", "--port", str(self._port)),
            cwd=self._database.parent,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._reading = asyncio.create_task(self._read(self._process))
        self._port = int((await self.said(_LISTENS))[1])

    async def said(self, pattern: re.Pattern[str]) -> re.Match[str]:
        """Wait until its output matches; it comes through a pipe, later than what it tells of."""
        assert self._reading is not None
        async with asyncio.timeout(TIMEOUT_S):
            while (found := pattern.search(self.output)) is None:
                assert not self._reading.done(), f"the node ended: {self.output}"
                self._news.clear()
                await self._news.wait()
        return found

    @property
    def pid(self) -> int:
        """The number of its process."""
        assert self._process is not None
        return self._process.pid

    def freeze(self) -> None:
        """Let it stand still."""
        os.kill(self.pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        os.kill(self.pid, signal.SIGCONT)

    async def kill(self) -> None:
        """End it with SIGKILL; returns when it is gone."""
        await self._end(signal.SIGKILL)

    async def stop(self) -> int:
        """End it as an operator does; returns its exit status."""
        return await self._end(signal.SIGTERM)

    async def _end(self, number: signal.Signals) -> int:
        assert self._process is not None
        assert self._reading is not None
        if self._process.returncode is None:
            self._process.send_signal(number)
        async with asyncio.timeout(TIMEOUT_S):
            await self._reading
            return await self._process.wait()

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while data := await process.stdout.read(65_536):
            self.output += data.decode(errors="replace")
            self._news.set()
        self._news.set()


class Cluster:
    """Some nodes on one file.

    Attributes:
        nodes: All of them.
        database: The file.
    """

    def __init__(self, folder: Path, size: int) -> None:
        self.database = folder / "runs.db"
        self.nodes = [NodeProcess(self.database) for _ in range(size)]

    def urls(self, first: int) -> list[str]:
        """Return the addresses of all nodes, beginning with one of them."""
        nodes = [*self.nodes[first:], *self.nodes[:first]]
        return [node.url for node in nodes]
