"""A replica set that loses its primary under load: real nodes, real sockets, real clients.

``BOLIDE_TESTS_PRIMARY_KILLS``, ``..._STEP_DOWNS`` and ``..._FREEZES`` are the numbers of events
(2, 1, 1), ``..._FREEZE_S`` how long a freeze lasts (5), ``..._AWAY_S`` how long all members are
away at least (5); the load is that of ``load.py``. ``pytest -rP`` shows the longest silence of a
client beside each election.
"""

import asyncio
import os
import random
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.cluster import NodeProcess
from tests.faults.load import Measured, loaded, number
from tests.replica_set import Member, ReplicaSet, find_mongod

KILLS, STEP_DOWNS = number("PRIMARY_KILLS", "2"), number("STEP_DOWNS", "1")
FREEZES, FREEZE_S = number("FREEZES", "1"), number("FREEZE_S", "5")
AWAY_S = number("AWAY_S", "5")
AWAY = "the database has no primary that can be reached"
_METRICS = re.compile(r"metrics: (http://127\.0\.0\.1:\d+)/readyz")

pytestmark = pytest.mark.skipif(
    find_mongod() is None and not os.environ.get("CI"), reason="no mongod: set BOLIDE_MONGOD"
)


def _kill(members: ReplicaSet, primary: Member) -> Callable[[], None]:
    members.kill(primary)
    return lambda: members.run(primary)


def _freeze(members: ReplicaSet, primary: Member) -> Callable[[], None]:
    members.freeze(primary)
    return lambda: members.thaw(primary)


def _step_down(members: ReplicaSet, primary: Member) -> Callable[[], None]:
    members.step_down(10)
    return lambda: None


async def test_every_client_sees_the_truth_after_every_failover(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    events = [_kill] * KILLS + [_step_down] * STEP_DOWNS + [_freeze] * FREEZES
    random.shuffle(events)
    measured = Measured()
    with await asyncio.to_thread(ReplicaSet) as members:
        async with loaded(members, tmp_path) as load:
            for hurt in events:
                primary = await asyncio.to_thread(members.primary)
                await load.all_see_a_change()
                load.silences_s()
                hurt_at = loop.time()
                heal = await asyncio.to_thread(hurt, members, primary)
                await asyncio.to_thread(members.primary, other_than=primary)
                election_s = loop.time() - hurt_at
                await load.all_see_a_change()
                measured.add(hurt.__name__[1:], election_s, load.silences_s())
                if hurt is _freeze:
                    await asyncio.sleep(max(0.0, hurt_at + FREEZE_S - loop.time()))
                await asyncio.to_thread(heal)
                await asyncio.to_thread(members.await_secondary, primary)
                await load.all_see_a_change()
            await load.end()
    measured.print()


async def top(node: NodeProcess) -> str:
    """Return what ``bolide top`` shows of a node."""
    management = (await node.said(_METRICS))[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bolide.ops", "top", management),
        env={**os.environ, "COLUMNS": "200"},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    return output.decode()


async def test_members_that_are_all_away_cost_time_only(tmp_path: Path) -> None:
    loop = asyncio.get_running_loop()
    with await asyncio.to_thread(ReplicaSet) as members:
        async with loaded(members, tmp_path) as load:
            killed_at = loop.time()
            for member in members.members:
                await asyncio.to_thread(members.kill, member)
            await load.all_are_late(AWAY)
            for node in load.nodes:
                assert AWAY in await top(node)
            await asyncio.sleep(max(0.0, killed_at + AWAY_S - loop.time()))
            for member in members.members:
                await asyncio.to_thread(members.run, member)
            back_at = loop.time()
            await asyncio.to_thread(members.primary)
            elected_at = loop.time()
            await load.all_see_a_change()
            print(
                f"all members away for {back_at - killed_at:.1f} s; a primary"
                f" {elected_at - back_at:.1f} s after it, and news for every client"
                f" {loop.time() - elected_at:.1f} s later"
            )
            await load.end()
