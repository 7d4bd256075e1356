"""Members behind one host name."""

import asyncio
import socket

import pytest
from tests.unit.balancer.members.scripted import Answers, Time

from bolide.balancer.members.address import Address
from bolide.balancer.members.dns import DNSMembers, name_of_address
from bolide.balancer.members.lookup import look_up
from bolide.balancer.members.member import Member


async def test_each_address_is_a_node_that_is_called_by_it() -> None:
    answers, time = Answers(nodes=("10.0.0.7", "fd00::7")), Time()
    source = DNSMembers(
        Address("nodes", 3000), management_port=3100, weight=2, ask=answers, wait=time
    )
    watch = source.watch()
    assert await anext(watch) == [
        Member(
            name="node-10-0-0-7",
            address=Address("10.0.0.7", 3000),
            management=Address("10.0.0.7", 3100),
            weight=2,
            server_name="nodes",
        ),
        Member(
            name="node-fd00--7",
            address=Address("fd00::7", 3000),
            management=Address("fd00::7", 3100),
            weight=2,
            server_name="nodes",
        ),
    ]
    await watch.aclose()


async def test_it_asks_again_after_a_while() -> None:
    answers, time = Answers(nodes=("10.0.0.7",)), Time()
    watch = DNSMembers(Address("nodes", 3000), interval_s=7, ask=answers, wait=time).watch()
    await anext(watch)
    answers.answers["nodes"] = ("10.0.0.8",)
    later = asyncio.ensure_future(anext(watch))
    await asyncio.sleep(0)
    assert time.pass_one() == 7
    (member,) = await later
    assert member.address == Address("10.0.0.8", 3000)
    assert member.management is None
    await watch.aclose()


async def test_no_answer_is_a_loss_and_not_an_empty_view() -> None:
    watch = DNSMembers(Address("nodes", 3000), ask=Answers(), wait=Time()).watch()
    with pytest.raises(OSError, match="unknown"):
        await anext(watch)


def test_a_scope_of_an_address_makes_no_odd_name() -> None:
    assert name_of_address("fe80::1%eth0") == "node-fe80--1-eth0"


async def test_the_operating_system_is_asked() -> None:
    assert "127.0.0.1" in await look_up("localhost")


async def test_a_name_that_cannot_be_is_an_oserror() -> None:
    with pytest.raises(socket.gaierror):
        await look_up("a..b")
