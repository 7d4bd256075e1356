"""A network that is cut without a word: of a primary, and of all nodes from the database.

Each member runs in a network namespace, which takes root; nodes and clients run beside the test.
``BOLIDE_TESTS_PARTITIONS`` (1) is how often a primary is cut off, ``..._PARTITION_S`` (5) how long
at least, ``..._NODE_PARTITION_S`` (15) how long all nodes are; the load is that of ``load.py``.
``pytest -rP`` shows the longest silence of a client beside each election.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import pytest
from tests.faults.load import TIMEOUT_S, Measured, loaded, number
from tests.network import Network, why_no_network
from tests.replica_set import Member, ReplicaSet, find_mongod

PARTITIONS, PARTITION_S = number("PARTITIONS", "1"), number("PARTITION_S", "5")
NODE_PARTITION_S = number("NODE_PARTITION_S", "15")
MEMBERS = 3

pytestmark = [
    pytest.mark.skipif(
        find_mongod() is None and not os.environ.get("CI"), reason="no mongod: set BOLIDE_MONGOD"
    ),
    # Also with CI set: who may not make namespaces cannot be helped by an installation.
    pytest.mark.skipif(bool(missing := why_no_network()), reason=missing),
]

# Writes what the nodes do not see, by the side of a member.
FOREIGN = """
import sys
from pymongo import MongoClient
with MongoClient(sys.argv[1], w="majority") as client:
    cells = client["ward"]["cells"]
    for cell in cells.find():
        cells.update_one({"_id": cell["_id"]}, {"$set": {"seen": sys.argv[2]}})
"""

WITNESS = """
import contextlib
import sys
from pymongo import MongoClient, WriteConcern
from pymongo.errors import PyMongoError
with MongoClient(sys.argv[1], directConnection=True) as client:
    cells = client["ward"].get_collection("cells", write_concern=WriteConcern(1))
    for line in sys.stdin:
        if line.strip() == "write":
            with contextlib.suppress(PyMongoError):  # it gave up its place in this moment
                cells.update_many({}, {"$set": {"lost": True}})
        print(client.admin.command("hello")["isWritablePrimary"], flush=True)
"""


@pytest.fixture
def network() -> Iterator[Network]:
    with Network(MEMBERS) as network:
        yield network


@pytest.fixture
def members(network: Network) -> Iterator[ReplicaSet]:
    with ReplicaSet(MEMBERS, network=network) as members:
        yield members


class Witness:
    """Speaks to a member by its side, whatever is cut."""

    def __init__(self, member: Member) -> None:
        assert member.place is not None
        self._process = subprocess.Popen(
            [*member.place.prefix, sys.executable, "-c", WITNESS, f"mongodb://{member.address}/"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1,
        )  # fmt: skip

    def __enter__(self) -> Self:
        assert self.believes_to_be_primary()
        return self

    def __exit__(self, *raised: object) -> None:
        self._process.communicate()

    def believes_to_be_primary(self) -> bool:
        """Tell whether the member takes itself for the primary."""
        return self._tell("")

    def write(self) -> bool:
        """Write to each cell what only this member knows of, and what will be rolled back.

        Tells whether it took itself for the primary until that was done.
        """
        return self._tell("write")

    def _tell(self, line: str) -> bool:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{line}\n")
        return self._process.stdout.readline().strip() == "True"


# Where the nodes still reach the old primary, they write to it for a moment.
@pytest.mark.parametrize("from_nodes", [True, False], ids=["from all", "from the other members"])
async def test_a_primary_that_is_cut_off_costs_time_only(
    network: Network, members: ReplicaSet, tmp_path: Path, from_nodes: bool
) -> None:
    loop = asyncio.get_running_loop()
    measured = Measured()
    written = 0
    async with loaded(members, tmp_path) as load:
        for _ in range(PARTITIONS):
            primary = await asyncio.to_thread(members.primary)
            assert primary.place is not None
            rest = [place for place in network.others if place is not primary.place]
            if from_nodes:
                rest.append(network.here)
            await load.all_see_a_change()
            load.silences_s()
            with await asyncio.to_thread(Witness, primary) as witness:
                cut_at = loop.time()
                await asyncio.to_thread(network.cut, primary.place, *rest)
                # On a busy machine it may have noticed already.
                written += witness.write()
                await asyncio.to_thread(members.primary, other_than=primary)
                election_s = loop.time() - cut_at
                await load.all_see_a_change()
                measured.add("cut off", election_s, load.silences_s())
                assert not witness.believes_to_be_primary()
            await asyncio.sleep(max(0.0, cut_at + PARTITION_S - loop.time()))
            await asyncio.to_thread(network.mend, primary.place, *rest)
            await asyncio.to_thread(members.await_secondary, primary)
            await load.all_see_a_change()
        await load.end()
    measured.print()
    print(f"{written} of {PARTITIONS} took themselves for the primary, and were written to")


async def test_nodes_that_are_cut_off_from_all_members_come_back(
    network: Network, members: ReplicaSet, tmp_path: Path
) -> None:
    loop = asyncio.get_running_loop()
    async with loaded(members, tmp_path) as load:
        load.silences_s()
        cut_at = loop.time()
        await asyncio.to_thread(network.cut, network.here, *network.others)
        # The others go on, and somebody writes there.
        command = [*network.others[0].prefix, sys.executable, "-c", FOREIGN]
        arguments = [members.url("ward"), "meanwhile"]
        writer = await asyncio.create_subprocess_exec(*command, *arguments)
        async with asyncio.timeout(TIMEOUT_S):
            assert await writer.wait() == 0
        await asyncio.sleep(max(0.0, cut_at + NODE_PARTITION_S - loop.time()))
        await asyncio.to_thread(network.mend, network.here, *network.others)
        mended_at = loop.time()
        await load.all_see_a_change()
        print(
            f"all nodes cut off for {mended_at - cut_at:.1f} s; every client had news"
            f" {loop.time() - mended_at:.1f} s after it"
        )
        await load.end()
