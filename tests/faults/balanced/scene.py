"""Nodes on one store, a balancer before them, crowds with SDKs and browsers: all real, over TLS.

``BOLIDE_TESTS_NODES`` is how many nodes there are (2), ``..._PERSONS`` how many SDK clients (40),
``..._CROWDS`` in how many processes (1), ``..._WARD`` how many of them see the same (20),
``..._MESSAGES_PER_S`` how much they say and are told
together (160), ``..._PAGES_PER_S`` what browsers ask beside (10).
"""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from tests.faults.balanced.crowds import Crowds
from tests.faults.balanced.messages import Calls, Plan
from tests.faults.balanced.pages import Browser
from tests.integration.balancer.processes import Balancer, Cluster, NodeProcess

from bolide.core.values import Document
from bolide.server.stores.base import Query
from bolide.server.stores.sqlite import SQLiteStore

__all__ = ["Scene", "number", "staged"]


def number(name: str, default: str) -> int:
    """Return how much of something the environment asks for."""
    return int(os.environ.get(f"BOLIDE_TESTS_{name}", default))


PERSONS, CROWDS, WARD = number("PERSONS", "40"), number("CROWDS", "1"), number("WARD", "20")
MESSAGES_PER_S, PAGES_PER_S = number("MESSAGES_PER_S", "160"), number("PAGES_PER_S", "10")
NODES = [f"n{one}" for one in range(number("NODES", "2"))]
DATABASE = "runs.db"
BROWSERS = 10
_ASKS_OF_A_RUN = 2


@dataclass
class Shut:
    """A time in which a node takes nobody.

    Attributes:
        begins: When clients may begin to leave it.
        is_left: When nobody is there.
        ends: When it may take clients again.
    """

    begins: float
    is_left: float = float("inf")
    ends: float = float("inf")


@dataclass
class Scene:
    """All of it.

    Attributes:
        url: What people type.
        cluster: Starts nodes.
        nodes: Name -> the process that runs last.
        balancer: The balancer.
        crowds: SDK clients.
        browsers: Ask for pages.
        shut: Name of a node -> each time in which it takes nobody.
    """

    url: str
    cluster: Cluster
    nodes: dict[str, NodeProcess]
    balancer: Balancer
    crowds: Crowds
    browsers: Sequence[Browser]
    shut: dict[str, list[Shut]] = field(default_factory=lambda: {name: [] for name in NODES})

    @property
    def database(self) -> Path:
        """The store of all nodes."""
        return self.cluster.folder / DATABASE

    async def start(self, name: str) -> None:
        """Start a node again where it was; returns when it gets sessions."""
        self.shut[name][-1].ends = time.monotonic()
        before = self.nodes[name]
        self.nodes[name] = await _node(
            self.cluster, name, self.url, before.port, before.management_port
        )
        await self.balancer.takes(*self.nodes)

    def shuts(self, name: str) -> Shut:
        """Note that a node is about to take nobody."""
        shut = Shut(time.monotonic())
        self.shut[name].append(shut)
        return shut

    def wrong_sessions(self) -> list[str]:
        """Return what should not be: a node that was left while it lived, or that took nobody."""
        wrong: list[str] = []
        histories = {name: seat.sessions for name, seat in self.crowds.seats.items()}
        histories |= {f"browser {n}": one.changes for n, one in enumerate(self.browsers)}
        for name, sessions in histories.items():
            for (before, left), (at, taken) in pairwise(sessions):
                if left != taken and not self._was_shut(left, before, at):
                    wrong.append(f"{name} left {left} for {taken} at {at:.3f}")
                if any(shut.is_left < at < shut.ends for shut in self.shut[taken]):
                    wrong.append(f"{name} came to {taken} at {at:.3f}")
        return wrong

    async def check(self, calls: Mapping[str, Calls]) -> int:
        """Compare all calls with the store; returns how many were acknowledged."""
        runs = {one["_id"]: one["runs"] for one in await self._stored("runs")}
        acknowledged = 0
        for name, called in calls.items():
            for number in range(1, called.called + 1):
                ran = runs.pop(f"{name}-{number}", 0)
                if number in called.unknown:
                    assert ran <= 1, f"call {number} of {name} ran {ran} times"
                else:
                    assert ran == 1, f"acknowledged call {number} of {name} ran {ran} times"
                    acknowledged += 1
        assert not runs, "calls ran that nobody made"
        return acknowledged

    async def cells(self) -> dict[str, int]:
        """Return what the store says of each ward."""
        return {cell["_id"]: cell["n"] for cell in await self._stored("cells")}

    def _was_shut(self, node: str, since: float, until: float) -> bool:
        return any(shut.begins < until and since < shut.ends for shut in self.shut[node])

    async def _stored(self, collection: str) -> list[Document]:
        store = SQLiteStore(self.database)
        await store.open()
        try:
            return list((await store.read(Query(collection=collection))).documents)
        finally:
            await store.close()


@asynccontextmanager
async def staged(folder: Path) -> AsyncGenerator[Scene]:
    """Let everybody come, and begin to call; two things are calm still: nodes and the balancer."""
    for name in NODES:
        (folder / "pages" / name).mkdir(parents=True)
        (folder / "pages" / name / "index.html").write_text(name)
    app = Path(__file__).with_name("served.py").read_text()
    async with AsyncExitStack() as stack:
        cluster = await stack.enter_async_context(Cluster(folder, app=app))
        port = cluster.nobody("balancer").port
        url = f"https://localhost:{port}"
        first, *others = NODES  # the first one makes the file
        nodes = {first: await _node(cluster, first, url)}
        started = await asyncio.gather(*(_node(cluster, name, url) for name in others))
        nodes |= {node.name: node for node in started}
        settings = cluster.settings(*nodes.values(), workers=2)
        settings = settings.replace("127.0.0.1:0", f"127.0.0.1:{port}", 1)
        # All share the processors: a node that is slow is not to be taken for one that is away.
        settings = settings.replace("interval_s = 0.1", "timeout_s = 10")
        limits = "[limits]\nconnect_timeout_s = 10\n"
        keys = [cluster.key("affinity")]
        balancer = await cluster.balancer(f"{settings}{limits}[affinity]\nkeys = {keys}\n")
        await balancer.has(**dict.fromkeys(nodes, "up"))
        context = ssl.create_default_context(cafile=cluster.authority.pem)
        browsers = [Browser(url, context, BROWSERS / PAGES_PER_S) for _ in range(BROWSERS)]
        crowds = Crowds()
        await stack.enter_async_context(crowds.arrived(_plans(url, cluster.authority.pem)))
        browsing = [asyncio.create_task(browser.browse()) for browser in browsers]
        stack.callback(lambda: [task.cancel() for task in browsing])
        await crowds.call()
        yield Scene(url, cluster, nodes, balancer, crowds, browsers)


def _plans(url: str, ca: str) -> list[Plan]:
    wards = {f"p{one}": f"w{one // WARD}" for one in range(PERSONS)}
    names = list(wards)
    # A run is three messages and one for each of the ward, an ask is three.
    in_a_ward = PERSONS / len(set(wards.values()))
    runs_per_s = MESSAGES_PER_S / (3 + in_a_ward + 3 * _ASKS_OF_A_RUN)
    return [
        Plan(
            url=url,
            ca=ca,
            wards={name: wards[name] for name in names[crowd::CROWDS]},
            run_s=PERSONS / runs_per_s,
            ask_s=PERSONS / runs_per_s / _ASKS_OF_A_RUN,
        )
        for crowd in range(CROWDS)
    ]


async def _node(
    cluster: Cluster, name: str, url: str, port: int = 0, management_port: int = 0
) -> NodeProcess:
    environment = {
        "BOLIDE_STORE": f"sqlite:///{cluster.folder / DATABASE}",
        "BOLIDE_PUBLIC_URL": url,
        "BOLIDE_BUILD_ID": "1",
        # So long a repeated call waits for its first run in a process that is gone.
        "BOLIDE_CALL_WAIT_S": "1",
    }
    return await cluster.node(
        name, port=port, management_port=management_port, environment=environment
    )
