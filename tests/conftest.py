"""What tests of several folders share: real servers, started once for all."""

import os
import secrets
from collections.abc import Callable, Iterator

import pytest
from tests.replica_set import ReplicaSet, find_mongod


@pytest.fixture(scope="session")
def replica_set() -> Iterator[ReplicaSet]:
    """Three real members; who hurts one heals it."""
    if find_mongod() is None and not os.environ.get("CI"):
        pytest.skip("no mongod: set BOLIDE_MONGOD")
    with ReplicaSet() as replica_set:
        yield replica_set


@pytest.fixture
def new_database(replica_set: ReplicaSet) -> Iterator[Callable[[], str]]:
    """Make URLs of databases that nobody else uses."""
    names: list[str] = []

    def new() -> str:
        names.append(f"test_{secrets.token_hex(6)}")
        return replica_set.url(names[-1])

    yield new
    with replica_set.client() as client:
        for name in names:
            client.drop_database(name)
