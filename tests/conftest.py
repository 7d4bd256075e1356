"""What tests of several folders share: real servers, started once for all."""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Iterator
from typing import TypeAlias

import pytest
from tests.driver_sockets import forgiven, let_go
from tests.mongo_roles import run_printed_commands
from tests.redis_server import RedisServer, find_redis_server
from tests.replica_set import ReplicaSet, find_mongod

from bolide.ops.doctor.mongo_roles import mongo_role_lines
from bolide.server.stores.base import Store
from bolide.server.stores.mongo import MongoStore

COLLECTIONS = (
    "a", "b", "beds", "c", "calls", "notes", "patients", "plain", "runs", "sides", "tasks",
    "things", "totals", "vitals", "wards",
)  # fmt: skip
"""Those that tests write to. As in production a node may write to no others: that is code 13."""

DropCollection: TypeAlias = Callable[[Store, str], Awaitable[None]]


@pytest.fixture(scope="session")
def replica_set(request: pytest.FixtureRequest) -> Iterator[ReplicaSet]:
    """Three real members with TLS and users; who hurts one heals it."""
    if find_mongod() is None and not os.environ.get("CI"):
        pytest.skip("no mongod: set BOLIDE_MONGOD")
    with ReplicaSet(has_users=True, has_tls=True) as replica_set:
        request.config.addinivalue_line("filterwarnings", forgiven(replica_set.members))
        yield replica_set


@pytest.fixture(autouse=True)
def leaves_no_socket_to_others(request: pytest.FixtureRequest) -> Iterator[None]:
    """Let go of what the driver left open in the test that allows it."""
    yield
    let_go(request.node)


@pytest.fixture(scope="session")
def redis_is_there() -> None:
    if find_redis_server() is None and not os.environ.get("CI"):
        pytest.skip("no redis-server: set BOLIDE_REDIS_SERVER, or install it")


@pytest.fixture
def redis_server(redis_is_there: None) -> Iterator[RedisServer]:
    """A real Redis of one test, which may hurt it."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def new_database(replica_set: ReplicaSet) -> Iterator[Callable[[], str]]:
    """Make URLs of databases that nobody else uses.

    The user in it has exactly the role that ``bolide doctor --mongo-roles`` prints.
    """
    names: list[str] = []
    with replica_set.client() as client:

        def new() -> str:
            name = f"test_{secrets.token_hex(6)}"
            names.append(name)
            lines = mongo_role_lines(f"mongodb://localhost/{name}", COLLECTIONS)
            user = run_printed_commands(client, lines)
            return replica_set.url(name, user=user, authSource="")

        yield new
        for name in names:
            client[name].command("dropAllUsersFromDatabase")
            client[name].command("dropAllRolesFromDatabase")
            client.drop_database(name)


@pytest.fixture
def drop_collection(request: pytest.FixtureRequest) -> DropCollection:
    """Drop a collection; on MongoDB an administrator does that, because no node may."""

    async def drop(store: Store, collection: str) -> None:
        if not isinstance(store, MongoStore):
            await store.drop_collection(collection)
            return
        database: str = store.raw_collection(collection).database.name
        replica_set: ReplicaSet = request.getfixturevalue("replica_set")

        def by_administrator() -> None:
            with replica_set.client() as client:
                client[database].drop_collection(collection)

        await asyncio.to_thread(by_administrator)

    return drop
