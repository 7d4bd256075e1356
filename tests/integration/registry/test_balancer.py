"""A balancer learns of its nodes from the store, and from nobody else."""

from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path

import pytest
from tests.integration.balancer.processes import Cluster, until

from bolide.balancer.settings.settings import BalancerSettings, NodesSettings, NodeTLSSettings
from bolide.balancer.tls.openssl_configuration import FILE
from bolide.core.errors import ConfigurationError
from bolide.ops.registry.registry_source import registry_sources

# What `bolide balance` does, without its words for operators.
_PROGRAM = """
import asyncio, sys
from pathlib import Path
from bolide.balancer.supervisor.run import run
from bolide.ops.registry.registry_source import registry_sources

def ready(supervisor, listeners):
    addresses = ", ".join(map(str, listeners.addresses))
    print(f"Balancer: {supervisor.pool.ready_count} workers at {addresses}", flush=True)

sys.exit(asyncio.run(run(Path(sys.argv[1]), on_ready=ready, more_sources=registry_sources)))
"""


@pytest.fixture(params=["sqlite", "mongodb"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "mongodb":
        new_database: Callable[[], str] = request.getfixturevalue("new_database")
        return new_database()
    return f"sqlite:///{tmp_path}/ward.db"


@pytest.fixture
async def cluster(tmp_path: Path) -> AsyncGenerator[Cluster]:
    async with Cluster(tmp_path) as cluster:
        yield cluster


async def test_a_node_that_joins_is_a_member_and_one_that_ends_is_gone(
    cluster: Cluster, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENSSL_CONF", str(FILE))
    announced = {"BOLIDE_STORE": url, "BOLIDE_ANNOUNCE": "127.0.0.1"}
    settings = f'{cluster.settings()}\n[nodes]\nregistry = "{url}"\n'
    first = await cluster.node("n1", environment=announced)
    balancer = await cluster.balancer(settings, words=("-c", _PROGRAM))
    await balancer.has(n1="up")
    second = await cluster.node("n2", environment=announced)
    await balancer.has(n1="up", n2="up")
    first.program.process.terminate()
    assert await first.program.status() == 0
    await balancer.has(n2="up")
    second.program.process.kill()

    async def is_down() -> bool:
        nodes = await balancer.nodes()
        return "n2" not in nodes or nodes["n2"]["state"] == "down"

    await until(is_down)


def test_without_a_registry_there_is_no_source() -> None:
    assert registry_sources(BalancerSettings(file="", cluster="ward")) == {}


@pytest.mark.parametrize(("is_allowed", "told"), [(False, "tls=true"), (True, "look up")])
async def test_an_insecure_registry_is_read_only_if_the_settings_say_so(
    cluster: Cluster, is_allowed: bool, told: str
) -> None:
    nodes = NodesSettings(
        registry="mongodb://db.invalid/?serverSelectionTimeoutMS=100",
        insecure_registry=is_allowed,
        tls=NodeTLSSettings(ca=cluster.authority.pem),
    )
    settings = BalancerSettings(file="", cluster="ward", nodes=nodes)
    async with aclosing(registry_sources(settings)["nodes.registry"].watch()) as watching:
        with pytest.raises(ConfigurationError, match=told):
            await anext(watching)
