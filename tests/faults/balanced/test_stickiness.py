"""Clients come back to their node, whatever becomes of workers and of the cookie's keys.

``BOLIDE_TESTS_STICKY_CLIENTS`` is how many there are (20), ``..._RETURNS`` how often each comes
back (4). While they come back a worker is killed, each time, and every other time the key is
changed; the key before the last one is gone then.
"""

import asyncio
import os
import random
import signal
import ssl
from collections import Counter
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
from tests.faults.balanced.scene import number
from tests.integration.balancer.browser import Browser
from tests.integration.balancer.processes import Balancer, Cluster, children_of
from websockets.exceptions import WebSocketException

CLIENTS, RETURNS = number("STICKY_CLIENTS", "20"), number("RETURNS", "4")
NODES = ("a", "b", "c")
_AT_ONCE = 20


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncGenerator[Cluster]:
    async with Cluster(tmp_path) as cluster:
        yield cluster


class Client:
    """A browser, and the node that it was given."""

    def __init__(self, browser: Browser) -> None:
        self.node = ""
        self.cut = 0
        self._browser = browser

    async def come(self) -> None:
        """Open a session; if its worker dies meanwhile, do it again."""
        while True:
            try:
                node = await self._browser.where()
            except (OSError, EOFError, AssertionError, WebSocketException):
                self.cut += 1
            else:
                break
        assert self.node in ("", node)
        self.node = node


async def come(clients: list[Client], came: asyncio.Semaphore) -> None:
    """Let all come, some at a time."""
    door = asyncio.Semaphore(_AT_ONCE)

    async def enter(client: Client) -> None:
        async with door:
            await client.come()
        came.release()

    await asyncio.gather(*map(enter, clients))


async def hurt(balancer: Balancer, keys: list[str] | None) -> None:
    """Kill a worker, and let others have other keys."""
    restarts = await balancer.metric("worker_restarts_total")
    assert restarts is not None
    os.kill(random.choice(children_of(balancer.program.process.pid)), signal.SIGKILL)
    await balancer.counts("worker_restarts_total", restarts + 1)
    await balancer.counts("workers", 2)
    if keys is not None:
        done = await balancer.metric('reloads_total{outcome="done"}')
        assert done is not None
        settings = balancer.file.read_text()
        lines = [line for line in settings.splitlines() if not line.startswith("keys = ")]
        balancer.file.write_text("\n".join([*lines, f"keys = {keys}"]))
        balancer.program.send(signal.SIGHUP)
        await balancer.counts('reloads_total{outcome="done"}', done + 1)


async def test_clients_come_back_to_their_node(cluster: Cluster) -> None:
    nodes = await asyncio.gather(*map(cluster.node, NODES))
    keys = [cluster.key("key0")]
    settings = cluster.settings(*nodes, workers=2)
    balancer = await cluster.balancer(f"{settings}[affinity]\nkeys = {keys}\n")
    await balancer.has(**dict.fromkeys(NODES, "up"))
    context = ssl.create_default_context(cafile=cluster.authority.pem)
    clients = [Client(Browser(cluster, balancer, context)) for _ in range(CLIENTS)]
    await come(clients, asyncio.Semaphore(0))
    assert {client.node for client in clients} == set(NODES)
    for time in range(RETURNS):
        is_changed = time % 2 == 1
        if is_changed:
            keys = [cluster.key(f"key{time}"), keys[0]]
        came = asyncio.Semaphore(0)
        async with asyncio.TaskGroup() as group:
            group.create_task(come(clients, came))
            for _ in range(CLIENTS // 3):
                await came.acquire()
            await hurt(balancer, keys if is_changed else None)
    spread = Counter(client.node for client in clients)
    cut = sum(client.cut for client in clients)
    print(
        f"{CLIENTS} clients came back {RETURNS} times, each to its node ({dict(spread)});"
        f" {RETURNS} workers were killed, which cut {cut} connections, and the key was changed"
        f" {RETURNS // 2} times"
    )
