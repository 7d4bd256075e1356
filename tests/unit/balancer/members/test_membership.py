"""All members of all sources, also of those that are lost."""

import asyncio
import logging
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

import pytest
from tests.unit.balancer.members.scripted import Answers, Time, turns

from bolide.balancer.members.address import Address, parse_address
from bolide.balancer.members.member import Member, MemberSource
from bolide.balancer.members.membership import MAX_MEMBERS, Membership
from bolide.balancer.members.static import StaticMembers


def make_member(name: str, address: str = "10.0.0.1:3000", management: str = "") -> Member:
    return Member(
        name=name,
        address=parse_address(address),
        management=parse_address(management) if management else None,
    )


class Scripted:
    """A source that says, and fails, as the test wants."""

    def __init__(self) -> None:
        self.said: asyncio.Queue[Sequence[Member] | Exception | None] = asyncio.Queue()

    def say(self, *names: str) -> None:
        self.said.put_nowait([make_member(name) for name in names])

    async def watch(self) -> AsyncGenerator[Sequence[Member]]:
        while (said := await self.said.get()) is not None:
            if isinstance(said, Exception):
                raise said
            yield said


class Following:
    def __init__(self, membership: Membership, seen: list[list[str]], time: Time) -> None:
        self.membership = membership
        self.seen = seen
        self.time = time
        self.members: tuple[Member, ...] = ()

    async def sees(self, *names: str) -> None:
        await turns(lambda: self.seen[-1:] == [list(names)])


@asynccontextmanager
async def following(
    ask: Answers | None = None, **sources: MemberSource
) -> AsyncGenerator[Following]:
    seen: list[list[str]] = []
    time = Time()

    def take(members: tuple[Member, ...]) -> None:
        seen.append([member.name for member in members])
        followed.members = members

    membership = Membership(sources, take, interval_s=60, ask=ask or Answers(), wait=time)
    followed = Following(membership, seen, time)
    running = asyncio.create_task(membership.run())
    try:
        yield followed
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_all_sources_together_are_the_members() -> None:
    later = Scripted()
    static = StaticMembers([make_member("a"), make_member("b")])
    async with following(static=static, later=later) as followed:
        await followed.sees("a", "b")
        later.say("c")
        await followed.sees("a", "b", "c")
        later.say()
        await followed.sees("a", "b")


async def test_of_two_with_one_name_the_earlier_source_is_believed() -> None:
    first, second = Scripted(), Scripted()
    async with following(first=first, second=second) as followed:
        second.said.put_nowait([make_member("a", "10.0.0.2:1")])
        await followed.sees("a")
        first.said.put_nowait([make_member("a", "10.0.0.1:1")])
        await turns(lambda: followed.members[0].address.host == "10.0.0.1")
        second.said.put_nowait([make_member("a", "10.0.0.3:1"), make_member("b")])
        await followed.sees("a", "b")
        assert followed.members[0].address.host == "10.0.0.1"


async def test_the_same_again_is_no_news() -> None:
    source = Scripted()
    async with following(source=source) as followed:
        source.say("a")
        source.say("a")
        source.say("b")
        await followed.sees("b")
        assert followed.seen == [["a"], ["b"]]


async def test_the_last_view_of_a_lost_source_is_kept(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    source = Scripted()
    async with following(source=source) as followed:
        source.say("a", "b")
        await followed.sees("a", "b")
        source.said.put_nowait(OSError("secret"))
        await turns(lambda: followed.membership.lost == {"source"})
        assert [member.name for member in followed.members] == ["a", "b"]
        assert "secret" not in caplog.text
        assert "the last 2 are kept" in caplog.text
        await turns(lambda: len(followed.time.waits) == 2)
        followed.time.waits.rotate(-1)  # the first one is for host names
        assert followed.time.pass_one() == 1
        source.say("a")
        await followed.sees("a")
        assert not followed.membership.lost
        assert "can be had again" in caplog.text


async def test_a_source_that_stays_lost_is_asked_less_and_less_and_told_of_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    source = Scripted()
    async with following(source=source) as followed:
        await turns(lambda: len(followed.time.waits) == 1)
        followed.time.waits.clear()  # for host names
        pauses: list[float] = []
        for _ in range(7):
            source.said.put_nowait(None)
            await turns(lambda: bool(followed.time.waits))
            pauses.append(followed.time.pass_one())
        assert pauses == [1, 2, 4, 8, 16, 30, 30]
        assert caplog.text.count("cannot be had") == 1


async def test_host_names_become_addresses() -> None:
    answers = Answers(**{"node-a": ("10.0.0.7", "10.0.0.8"), "manage-a": ("10.1.0.7",)})
    static = StaticMembers([make_member("a", "node-a:3000", "manage-a:3100")])
    async with following(answers, static=static) as followed:
        await followed.sees("a")
        (member,) = followed.members
        assert member.address == Address("10.0.0.7", 3000)
        assert member.management == Address("10.1.0.7", 3100)
        assert member.server_name == "node-a"


async def test_an_address_is_asked_for_again_and_stays_while_it_is_among_the_answers() -> None:
    answers = Answers(**{"node-a": ("10.0.0.7",)})
    static = StaticMembers([make_member("a", "node-a:3000")])
    async with following(answers, static=static) as followed:
        await followed.sees("a")
        steps: tuple[tuple[tuple[str, ...] | OSError, str], ...] = (
            (("10.0.0.1", "10.0.0.7"), "10.0.0.7"),
            (("10.0.0.1",), "10.0.0.1"),
            (OSError(), "10.0.0.1"),
        )
        for answer, wanted in steps:
            answers.answers["node-a"] = answer
            count = len(answers.asked)
            await turns(lambda: bool(followed.time.waits))
            assert followed.time.pass_one() == 60
            await turns(lambda count=count: len(answers.asked) > count)  # type: ignore[misc]
            for _ in range(20):
                await asyncio.sleep(0)
            assert followed.members[0].address.host == wanted


async def test_a_member_whose_host_has_no_address_is_left_out_and_told_of(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers = Answers()
    static = StaticMembers([make_member("a", "node-a:3000"), make_member("b")])
    async with following(answers, static=static) as followed:
        await followed.sees("b")
        await turns(lambda: "node-a has no address" in caplog.text)
        answers.answers["node-a"] = ("10.0.0.7",)
        await turns(lambda: bool(followed.time.waits))
        followed.time.pass_one()
        await followed.sees("a", "b")


async def test_a_member_whose_management_host_has_no_address_is_left_out() -> None:
    static = StaticMembers([make_member("a", management="manage-a:3100"), make_member("b")])
    async with following(static=static) as followed:
        await followed.sees("b")


async def test_too_many_members_are_left_out_and_told_of(caplog: pytest.LogCaptureFixture) -> None:
    source = Scripted()
    async with following(source=source) as followed:
        source.say(*(f"n{number}" for number in range(MAX_MEMBERS + 3)))
        await turns(lambda: bool(followed.members))
        assert len(followed.members) == MAX_MEMBERS
        assert "3 members are left out" in caplog.text


async def test_other_sources_begin_with_what_those_that_stay_said() -> None:
    answers = Answers(**{"node-a": ("10.0.0.7",)})
    static = StaticMembers([make_member("a", "node-a:3000")])
    async with following(answers, static=static, registry=(registry := Scripted())) as followed:
        registry.say("r")
        await followed.sees("a", "r")
        seen: list[list[str]] = []
        later = Membership(
            {"static": static, "registry": Scripted(), "dns": (dns := Scripted())},
            lambda members: seen.append([member.name for member in members]),
            before=followed.membership,
            ask=Answers(),
            wait=Time(),
        )
        running = asyncio.create_task(later.run())
        dns.say("d")
        await turns(lambda: seen[-1:] == [["a", "r", "d"]])
        assert all("r" in names and "a" in names for names in seen)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
