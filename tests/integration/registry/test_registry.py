"""Nodes announce themselves in a real store, and a balancer's members follow."""

import asyncio
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from pathlib import Path

import pytest
from tests.cluster_certificates import SERVER, CertificateAuthority

from bolide.balancer.members.address import Address
from bolide.balancer.members.member import Member
from bolide.core.errors import ConfigurationError
from bolide.core.fingerprints import fingerprint
from bolide.ops.node.listener import bind
from bolide.ops.node.node_service import node_running
from bolide.ops.registry.registry_source import RegistrySource
from bolide.server import App, Settings
from bolide.server.node import Node
from bolide.server.stores.base import Insert, Query
from bolide.server.stores.own_collections import NODES

_TIMEOUT_S = 20


@pytest.fixture(params=["sqlite", "mongodb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "mongodb":
        new_database: Callable[[], str] = request.getfixturevalue("new_database")
        return new_database()
    return f"sqlite:///{tmp_path}/ward.db"


class Cluster:
    """Nodes that announce themselves in a store, and the authority that names them."""

    def __init__(self, url: str, folder: Path) -> None:
        self._url = url
        self.authority = CertificateAuthority(folder)
        self.ports: dict[str, tuple[int, int]] = {}

    def node(self, name: str, *, cluster: str = "ward") -> AbstractAsyncContextManager[Node]:
        own = self.authority.issue(f"bolide://{cluster}/node/{name}", purposes=[SERVER])
        settings = Settings(
            store=self._url,
            public_url="https://ward.example.org",
            cluster=cluster,
            tls_cert=own.chain,
            tls_key=own.key,
            tls_client_ca=self.authority.pem,
            announce="127.0.0.1",
            announce_weight=2.0,
        )
        listener, management = bind("127.0.0.1", 0), bind("127.0.0.1", 0)
        self.ports[name] = listener.getsockname()[1], management.getsockname()[1]
        return node_running(App(), settings, listener, management)

    def source(self, *denied: str) -> RegistrySource:
        return RegistrySource.at(
            self._url, cluster="ward", ca=self.authority.pem, denied=frozenset(denied)
        )


class Watched:
    """What a source yields."""

    def __init__(self) -> None:
        self._members: Sequence[Member] | None = None
        self._changed = asyncio.Event()

    def take(self, members: Sequence[Member]) -> None:
        self._members = members
        self._changed.set()

    async def until(self, *names: str) -> Sequence[Member]:
        """Return the members once they are these and no others."""
        async with asyncio.timeout(_TIMEOUT_S):
            while self._members is None or [one.name for one in self._members] != list(names):
                self._changed.clear()
                await self._changed.wait()
        return self._members


@asynccontextmanager
async def watching(source: RegistrySource) -> AsyncGenerator[Watched]:
    watched = Watched()

    async def follow() -> None:
        async with aclosing(source.watch()) as views:
            async for members in views:
                watched.take(members)

    task = asyncio.create_task(follow())
    try:
        yield watched
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def cluster(url: str, tmp_path: Path) -> Cluster:
    return Cluster(url, tmp_path)


async def test_members_come_and_go_with_the_nodes(cluster: Cluster) -> None:
    async with cluster.node("n1"), watching(cluster.source()) as watched:
        [member] = await watched.until("n1")
        port, management = cluster.ports["n1"]
        assert member == Member(
            name="n1",
            address=Address("127.0.0.1", port),
            management=Address("127.0.0.1", management),
            weight=2.0,
        )
        async with cluster.node("n2"):
            await watched.until("n1", "n2")
        await watched.until("n1")


async def test_who_is_of_another_cluster_denied_or_nobody_is_no_member(cluster: Cluster) -> None:
    async with cluster.node("n1"), cluster.node("n2", cluster="other"), cluster.node("n3") as node:
        forged = {"_id": "ward/n4", "payload": b"{}", "signature": b"", "certificate": b""}
        await node.store.write(Insert(collection=NODES, documents=[forged]))
        async with watching(cluster.source()) as watched:
            await watched.until("n1", "n3")
        found = await node.store.read(Query(collection=NODES, selector={"_id": "ward/n3"}))
        denied = fingerprint(found.documents[0]["certificate"])
        async with watching(cluster.source(denied)) as watched:
            await watched.until("n1")


def test_a_source_that_cannot_be_is_named(tmp_path: Path) -> None:
    ca = str(tmp_path / "nothing.pem")
    for url, told in (("nothing:", "store"), ("memory:", r"nodes\.tls\.ca")):
        with pytest.raises(ConfigurationError, match=told):
            RegistrySource.at(url, cluster="ward", ca=ca, denied=frozenset())
