"""Real processes: nodes of a cluster, and a balancer with its supervisor."""

import asyncio
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.cluster_certificates import CLIENT, SERVER, CertificateAuthority

from bolide.balancer.settings.files import make_key

__all__ = [
    "PUBLIC",
    "TIMEOUT_S",
    "Balancer",
    "Cluster",
    "NodeProcess",
    "Place",
    "Program",
    "children_of",
    "program",
    "until",
]

TIMEOUT_S = 30 * float(os.environ.get("BOLIDE_TESTS_TIMEOUT_FACTOR", "1"))
PUBLIC = "localhost"
APP = """
import os
from bolide.server import App, Context

app = App()

@app.method("where", public=True)
async def where(ctx: Context) -> str:
    return os.environ["NODE"]
"""


async def until(is_so: Callable[[], Awaitable[bool]]) -> None:
    """Wait for what another process does, which tells nobody when it is done."""
    async with asyncio.timeout(TIMEOUT_S):
        while not await is_so():  # noqa: ASYNC110
            await asyncio.sleep(0.02)


def children_of(pid: int) -> list[int]:
    """Return the processes that a process started and that did not end."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Program:
    """A running program and what it has said, on both streams."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process
        self.text = ""
        self._news = asyncio.Event()

    async def listen(self) -> None:
        """Take what it says until its end."""
        assert self.process.stdout is not None
        while data := await self.process.stdout.read(65_536):
            self.text += data.decode()
            self._news.set()
        await self.process.wait()
        self._news.set()

    async def said(self, pattern: str) -> re.Match[str]:
        """Wait until it has said something; return it."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                self._news.clear()
                found = re.search(pattern, self.text)
                if found is not None:
                    return found
                assert self.process.returncode is None, f"it ended: {self.text}"
                await self._news.wait()

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def status(self) -> int:
        """Wait for its end; return the exit status."""
        async with asyncio.timeout(TIMEOUT_S):
            return await self.process.wait()


@asynccontextmanager
async def program(
    *arguments: str, folder: Path, environment: Mapping[str, str] | None = None
) -> AsyncGenerator[Program]:
    """Run a Python program for the time of the block."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        cwd=folder,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **(environment or {})},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    running = Program(process)
    listening = asyncio.create_task(running.listen())
    try:
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await listening


@dataclass
class Place:
    """Where a node is."""

    name: str
    port: int
    management_port: int


@dataclass
class NodeProcess(Place):
    """A node that runs."""

    program: Program


@dataclass
class Balancer:
    """A balancer that runs.

    Attributes:
        program: Its supervisor.
        file: Its settings.
        ports: Of its listeners.
    """

    program: Program
    file: Path
    ports: Sequence[int]
    management: Path
    client: httpx.AsyncClient = field(init=False)

    def __post_init__(self) -> None:
        transport = httpx.AsyncHTTPTransport(uds=str(self.management))
        self.client = httpx.AsyncClient(transport=transport, base_url="http://balancer")

    async def nodes(self) -> dict[str, dict[str, Any]]:
        answer = await self.client.get("/nodes")
        return {row["name"]: row for row in answer.json()["nodes"]}

    async def has(self, **states: str) -> None:
        """Wait until nodes are in these states."""

        async def are_so() -> bool:
            return {name: row["state"] for name, row in (await self.nodes()).items()} == states

        await until(are_so)

    async def takes(self, *names: str) -> None:
        """Wait until nodes may get sessions; one in probation waits for somebody new."""

        async def are_there() -> bool:
            states = {row["state"] for name, row in (await self.nodes()).items() if name in names}
            return states <= {"up", "probation"}

        await until(are_there)

    async def metric(self, name: str) -> float | None:
        page = (await self.client.get("/metrics")).text
        found = re.search(rf"^bolide_balancer_{re.escape(name)} (\S+)$", page, re.MULTILINE)
        return float(found[1]) if found else None

    async def counts(self, name: str, number: float) -> None:
        """Wait until a metric is that."""

        async def is_so() -> bool:
            return await self.metric(name) == number

        await until(is_so)


class Cluster:
    """Nodes and a balancer on this machine, with certificates of one authority.

    Args:
        folder: Where the files go.
        authority: Of nodes that run already; None: one of its own.
        app: Source of what nodes serve.
    """

    def __init__(
        self, folder: Path, authority: CertificateAuthority | None = None, *, app: str = APP
    ) -> None:
        self.folder = folder
        self.authority = authority or CertificateAuthority(folder)
        self._stack = AsyncExitStack()
        (folder / "served.py").write_text(app)

    async def __aenter__(self) -> "Cluster":
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def node(
        self,
        name: str,
        *,
        identity: str | None = None,
        port: int = 0,
        management_port: int = 0,
        environment: Mapping[str, str] | None = None,
    ) -> NodeProcess:
        """Start a node; its certificate is of this name unless there is another identity."""
        own = self.authority.issue(identity or f"bolide://ward/node/{name}", purposes=[SERVER])
        running = await self._stack.enter_async_context(
            program(
                "-m", "bolide.ops", "run", "served:app",
                folder=self.folder,
                environment={
                    "NODE": name,
                    "BOLIDE_STORE": "memory:",
                    "BOLIDE_PORT": str(port),
                    "BOLIDE_MANAGEMENT_PORT": str(management_port),
                    "BOLIDE_PUBLIC_URL": f"https://{PUBLIC}",
                    "BOLIDE_CLUSTER": "ward",
                    "BOLIDE_TLS_CERT": own.chain,
                    "BOLIDE_TLS_KEY": own.key,
                    "BOLIDE_TLS_CLIENT_CA": self.authority.pem,
                    **(environment or {}),
                },
            )
        )  # fmt: skip
        found = await running.said(r"(?s)https://127\.0\.0\.1:(\d+).*https://127\.0\.0\.1:(\d+)")
        return NodeProcess(name, int(found[1]), int(found[2]), running)

    def nobody(self, name: str) -> Place:
        """Return a place where a node could be."""
        with socket.create_server(("127.0.0.1", 0)) as free:
            port: int = free.getsockname()[1]
        return Place(name, port, port)

    def key(self, name: str) -> str:
        """Make a key of the affinity cookie."""
        path = str(self.folder / f"{name}.key")
        make_key(path)
        return path

    def settings(self, *nodes: Place, more: str = "", workers: int = 1) -> str:
        """Return the settings of a balancer in front of nodes."""
        browsers = self.authority.issue(None, addresses=["localhost"])
        own = self.authority.issue("bolide://ward/balancer/b1", purposes=[CLIENT])
        tables = "\n".join(
            f'[[nodes.static]]\nname = "{node.name}"\naddress = "127.0.0.1:{node.port}"\n'
            f'management = "127.0.0.1:{node.management_port}"'
            for node in nodes
        )
        return f"""
cluster = "ward"
listen = ["127.0.0.1:0"]
redirect = ["127.0.0.1:0"]
workers = {workers}
management = "run/management.sock"
slow_start_s = 0
drain_s = 5
{more}
[[certificate]]
chain = "{browsers.chain}"
key = "{browsers.key}"
[health]
interval_s = 0.1
[nodes.tls]
ca = "{self.authority.pem}"
chain = "{own.chain}"
key = "{own.key}"
{tables}
"""

    async def balancer(
        self, settings: str, words: Sequence[str] = ("-m", "bolide.balancer.supervisor")
    ) -> Balancer:
        """Start a balancer, and wait until its workers work."""
        file = self.folder / "balancer.toml"
        file.write_text(settings)
        running = await self._stack.enter_async_context(
            program(*words, str(file), folder=self.folder)
        )
        found = await running.said(r"Balancer: \d+ workers at (.*)\n")
        ports = [int(address.rpartition(":")[2]) for address in found[1].split(", ")]
        balancer = Balancer(running, file, ports, self.folder / "run" / "management.sock")
        self._stack.push_async_callback(balancer.client.aclose)
        return balancer
