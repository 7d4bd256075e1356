"""Presence and channels over processes: who was killed is gone within the lease."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.faults.cluster import TIMEOUT_S, NodeProcess
from tests.turns import yield_once

from bolide.client import Client, connect

LEASE_S = 3
SLACK_S = 2 * TIMEOUT_S / 60
"""What a busy machine may add."""


@pytest.fixture(params=["sqlite", "mongodb", "redis"])
async def nodes(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[list[NodeProcess]]:
    """Two processes that reach each other through the store, or through Redis."""
    environment = {"BOLIDE_PRESENCE_LEASE_S": str(LEASE_S)}
    if request.param == "mongodb":
        environment["BOLIDE_STORE"] = request.getfixturevalue("new_database")()
    if request.param == "redis":
        environment["BOLIDE_REDIS"] = request.getfixturevalue("redis_server").url
    nodes = [NodeProcess(tmp_path / "ward.db", "gathering:app", environment) for _ in range(2)]
    for node in nodes:
        await node.start()
    yield nodes
    for node in nodes:
        await node.stop()


async def shows(client: Client, names: list[str]) -> None:
    async with asyncio.timeout(TIMEOUT_S):
        async for documents in client.collection("online").find(sort=[("info", 1)]).results():
            if [document["info"] for document in documents] == names:
                return


async def test_who_was_killed_is_gone_within_the_lease(nodes: list[NodeProcess]) -> None:
    first, second = nodes
    async with connect(first.url) as ann, connect(second.url) as ben:
        await ben.subscribe("ward", "7")
        await ann.subscribe("ward", "7")
        await ann.call("enter", "7", "ann")
        await ben.call("enter", "7", "ben")
        await shows(ben, ["ann", "ben"])
        await shows(ann, ["ann", "ben"])
        heard = ben.channel("words").messages()
        said = asyncio.ensure_future(anext(heard))
        await yield_once()
        await ann.call("say", "7", "hello")
        async with asyncio.timeout(TIMEOUT_S):
            assert (await said).message == "hello"

        killed_at = time.monotonic()
        await first.kill()
        await shows(ben, ["ben"])
        assert time.monotonic() - killed_at < LEASE_S + SLACK_S

        # It comes back under the same address; its client subscribes again and sees who is there.
        await first.start()
        await shows(ann, ["ben"])
        await ann.call("enter", "7", "ann")
        await shows(ben, ["ann", "ben"])
        await ann.close()
        await shows(ben, ["ben"])
