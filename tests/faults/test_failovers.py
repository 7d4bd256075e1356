"""A replica set that loses its primary under load: real nodes, real sockets, real clients.

``BOLIDE_TESTS_PRIMARY_KILLS``, ``..._STEP_DOWNS`` and ``..._FREEZES`` are the numbers of events
(2, 1, 1), ``..._FREEZE_S`` how long a freeze lasts (5); the load is that of ``load.py``.
``pytest -rP`` shows the longest silence of a client beside each election.
"""

import asyncio
import os
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.faults.load import Measured, loaded, number
from tests.replica_set import Member, ReplicaSet, find_mongod

KILLS, STEP_DOWNS = number("PRIMARY_KILLS", "2"), number("STEP_DOWNS", "1")
FREEZES, FREEZE_S = number("FREEZES", "1"), number("FREEZE_S", "5")

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
