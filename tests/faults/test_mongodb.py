"""A replica set that loses members: nothing acknowledged is lost, and every view comes right."""

import asyncio
from collections.abc import Callable, Iterator

import pytest
from tests.driver_sockets import MAY_BE_LEFT
from tests.faults.ward import ward
from tests.replica_set import ReplicaSet

# A connection that is given up with its server is closed by the collector.
pytestmark = MAY_BE_LEFT


@pytest.fixture
def members() -> Iterator[ReplicaSet]:
    """A replica set of the test's own."""
    with ReplicaSet() as replica_set:
        yield replica_set


def _kill(members: ReplicaSet) -> Callable[[], None]:
    member = members.primary()
    members.kill(member)
    return lambda: members.run(member)


def _freeze(members: ReplicaSet) -> Callable[[], None]:
    member = members.primary()
    members.freeze(member)
    return lambda: members.thaw(member)


def _step_down(members: ReplicaSet) -> Callable[[], None]:
    members.step_down()
    return lambda: None


async def test_no_write_and_no_change_is_lost_when_the_primary_is(members: ReplicaSet) -> None:
    async with ward(members.url("ward")) as it:
        async with it.writing():
            await it.more_is_acknowledged()
            for hurt in (_kill, _step_down, _freeze, _kill):
                heal = await asyncio.to_thread(hurt, members)
                await it.more_is_acknowledged()
                await asyncio.to_thread(heal)
                await it.more_is_acknowledged()
        await it.agree()
        assert it.losses == 0
