"""Presence on one node: who may enter and look, and when somebody leaves."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from structlog.testing import capture_logs

from bolide.core.errors import AuthError, ConfigurationError, MethodError
from bolide.server import AccessRequest, App, Context
from bolide.server.access.invocation import Invocation
from bolide.server.channels.channel import NotRunningChannel
from bolide.server.limits import Limits
from bolide.server.presence.presence import NoSession
from bolide.server.testing import TestClient, TestNode


class Ward:
    """An app whose ward board shows who looks at it.

    Attributes:
        grants: ``(user, access scope)``.
    """

    def __init__(self) -> None:
        self.app = App()
        self.grants: set[tuple[str | None, str | None]] = {
            ("ann", "7"), ("ben", "7"), ("ann", "8")
        }  # fmt: skip
        self.app.authorize = self.authorize
        self.online = self.app.presence("online", dict[str, str] | None, access=True)
        self.app.method("enter")(self.enter)
        self.app.method("leave", public=True)(self.leave)
        self.app.method("who")(self.who)
        self.app.method("login", public=True)(self.login)
        self.app.method("enterUndecided")(self.enter_undecided)
        self.app.publish("board")(self.board)
        self.app.publish("here")(self.here)
        self.app.publish("people")(self.people)
        self.app.publish("hereUndecided")(self.here_undecided)

    def authorize(self, request: AccessRequest, /) -> bool:
        return (request.user_id, request.access_scope) in self.grants

    async def enter(self, ctx: Context, ward: str, role: str | None = None) -> None:
        ctx.require("enter", ward)
        await self.online.enter(ctx, ward, None if role is None else {"role": role})

    async def enter_undecided(self, ctx: Context) -> None:
        await self.online.enter(ctx, "7")

    async def leave(self, ctx: Context, ward: str) -> None:
        await self.online.leave(ctx, ward)

    async def who(self, ctx: Context, ward: str) -> list[str | None]:
        ctx.require("read", ward)
        return [member.user_id for member in self.online.members(ward)]

    async def login(self, ctx: Context, user: str | None) -> None:
        await ctx.set_user_id(user)

    async def board(self, ctx: Context, ward: str) -> object:
        ctx.require("read", ward)
        await self.online.enter(ctx, ward, {"role": "reader"})
        return self.online.here(ward)

    async def here(self, ctx: Context, ward: str) -> object:
        ctx.require("read", ward)
        return [self.online.here(ward)]

    async def people(self, ctx: Context, ward: str) -> object:
        ctx.require("read", ward)
        return self.online.here(ward, by="user")

    async def here_undecided(self, ctx: Context) -> object:
        return self.online.here("7")


@pytest.fixture
def ward() -> Ward:
    return Ward()


@pytest.fixture
async def node(ward: Ward) -> AsyncIterator[TestNode]:
    async with TestNode(ward.app) as node:
        yield node


async def people(node: TestNode, client: TestClient) -> list[Any]:
    await node.settle()
    return [document["user_id"] for document in client.documents("online")]


async def test_who_enters_is_here_until_it_leaves(node: TestNode) -> None:
    ann, ben = await node.connect(user_id="ann"), await node.connect(user_id="ben")
    await ben.subscribe("here", "7")
    await ann.call("enter", "7", "nurse")
    await ann.call("enter", "8")
    await node.settle()
    (document,) = ben.documents("online")
    assert {**document, "_id": ""} == {
        "_id": "", "topic": "7", "user_id": "ann", "info": {"role": "nurse"}
    }  # fmt: skip
    await ann.call("enter", "7", "physician")
    await node.settle()
    (document,) = ben.documents("online")
    assert document["info"] == {"role": "physician"}
    assert await ben.call("who", "7") == ["ann"]
    await ann.call("leave", "7")
    await ann.call("leave", "7")
    assert await people(node, ben) == []
    assert await ann.call("who", "8") == ["ann"]


async def test_who_closes_its_socket_is_gone_at_once(node: TestNode) -> None:
    ann, ben = await node.connect(user_id="ann"), await node.connect(user_id="ben")
    await ben.subscribe("here", "7")
    await ann.call("enter", "7")
    assert await people(node, ben) == ["ann"]
    await ann.close()
    assert await people(node, ben) == []
    presence = node.node.services.presence
    assert presence is not None
    assert (presence.own_count, presence.member_count) == (0, 0)


async def test_a_publication_that_enters_keeps_its_client_here_until_it_stops(
    node: TestNode,
) -> None:
    ann, ben = await node.connect(user_id="ann"), await node.connect(user_id="ben")
    await ben.subscribe("here", "7")
    first, second = await ann.subscribe("board", "7"), await ann.subscribe("board", "7")
    assert await people(node, ben) == ["ann"]
    await first.stop()
    assert await people(node, ben) == ["ann"]
    await second.stop()
    assert await people(node, ben) == []


async def test_a_person_with_several_sessions_is_one_by_user(node: TestNode) -> None:
    ben = await node.connect(user_id="ben")
    await ben.subscribe("people", "7")
    for _ in range(2):
        ann = await node.connect(user_id="ann")
        await ann.call("enter", "7")
    await node.settle()
    (document,) = ben.documents("online")
    assert (document["user_id"], document["sessions"]) == ("ann", 2)


async def test_another_user_of_the_session_is_not_where_the_former_was(node: TestNode) -> None:
    ann, ben = await node.connect(user_id="ann"), await node.connect(user_id="ben")
    await ben.subscribe("here", "7")
    await ann.call("enter", "7")
    await ann.subscribe("board", "8")
    await ann.call("login", "ben")
    assert await people(node, ben) == []
    await ann.call("login", "ann")
    assert await ann.call("who", "7") == []
    assert await ann.call("who", "8") == []


async def test_who_loses_the_permission_is_gone_and_sees_nobody(ward: Ward, node: TestNode) -> None:
    ann, ben = await node.connect(user_id="ann"), await node.connect(user_id="ben")
    for client in (ann, ben):
        await client.subscribe("here", "7")
        await client.call("enter", "7")
    assert await people(node, ann) == ["ann", "ben"]
    ward.grants.discard(("ann", "7"))
    ward.app.access_changed()
    assert await people(node, ann) == []
    assert await people(node, ben) == ["ben"]


@pytest.mark.parametrize(
    ("kind", "name", "args", "error"),
    [
        ("method", "enterUndecided", (), 500),
        ("method", "enter", ("9",), 403),
        ("publication", "hereUndecided", (), 500),
        ("publication", "here", ("9",), 403),
        ("publication", "board", ("9",), 403),
    ],
)
async def test_nobody_enters_or_looks_without_a_decision(
    node: TestNode, kind: str, name: str, args: tuple[str, ...], error: int
) -> None:
    ann = await node.connect(user_id="ann")
    with pytest.raises(MethodError) as refused:
        await (ann.call(name, *args) if kind == "method" else ann.subscribe(name, *args))
    assert refused.value.error == error
    presence = node.node.services.presence
    assert presence is not None
    assert presence.own_count == 0


async def test_what_is_told_of_a_member_is_checked_and_bounded(ward: Ward) -> None:
    limits = Limits(max_presence_bytes=100, max_presence_places=1, max_channel_session_rate=3)
    async with TestNode(ward.app, limits=limits) as node:
        ann = await node.connect(user_id="ann")
        with pytest.raises(MethodError, match="max_presence_bytes") as refused:
            await ann.call("enter", "7", "Meyer" * 20)
        assert "Meyer" not in str(refused.value)
        await ann.call("enter", "7")
        with pytest.raises(MethodError, match="max_presence_places"):
            await ann.call("enter", "8")
        with pytest.raises(MethodError) as limited:
            await ann.call("enter", "7")
        assert limited.value.error == "too-many-requests"


@pytest.mark.parametrize("change", ["ended", "another user", "lost"])
async def test_who_was_overtaken_does_not_enter(ward: Ward, node: TestNode, change: str) -> None:
    waits, goes_on, refused = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @ward.app.method("enterLate")
    async def enter_late(ctx: Context) -> None:
        ctx.require("enter", "7")
        ctx.unblock()
        waits.set()
        assert ctx.is_current
        await goes_on.wait()
        try:
            await ward.online.enter(ctx, "7")
        except AuthError:
            refused.set()
            raise

    ann = await node.connect(user_id="ann")
    call = asyncio.create_task(ann.call("enterLate"))
    await waits.wait()
    if change == "ended":
        await ann.close()
    elif change == "another user":
        await ann.call("login", None)
    else:
        ward.grants.discard(("ann", "7"))
        ward.app.access_changed()
    goes_on.set()
    await refused.wait()
    await asyncio.gather(call, return_exceptions=True)
    assert ward.online.members("7") == []


async def test_trusted_code_has_no_session_and_may_look(ward: Ward, node: TestNode) -> None:
    ann = await node.connect(user_id="ann")
    seen: list[Context] = []

    @ward.app.method("keep", public=True)
    async def keep(ctx: Context) -> None:
        seen.append(ctx)

    await ann.call("keep")
    with pytest.raises(NoSession, match="online"):
        await ward.online.enter(seen[0], "7")
    nobody = Context(
        Invocation("method", "keep"), cast("Any", None), ward.authorize, lambda name: None
    )
    with pytest.raises(NoSession):
        await ward.online.leave(nobody, "7")
    assert ward.online.members("7") == []


async def test_what_no_node_of_ours_told_is_left_alone(ward: Ward, node: TestNode) -> None:
    ben = await node.connect(user_id="ben")
    await ben.subscribe("here", "7")
    broadcast = node.node.broadcast
    assert broadcast is not None
    with capture_logs() as logs:
        for text in (
            '"Meyer"', "{", '["change","n",1,1,[7],[]]', '["beat","n","x"]',
            '["change","n",1,1,[["a","online","7",null,{"role":7}]],[]]',
        ):  # fmt: skip
            broadcast.publish("presence", text.encode())
        broadcast.publish("presence", b"\xff")
        broadcast.publish("other", b"")
    assert len(logs) == 6
    assert "Meyer" not in str(logs)
    # Of a presence that only a newer version of the app has.
    broadcast.publish("presence", b'["change","n",1,1,[["a","new","7",null,null]],[]]')
    assert await people(node, ben) == []


def test_a_presence_is_declared_like_a_channel(ward: Ward) -> None:
    with pytest.raises(ConfigurationError, match="used once"):
        ward.app.presence("online")
    with pytest.raises(ConfigurationError, match=r"access of app\.presence"):
        ward.app.presence("new", access="ward")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match='"session" or "user"'):
        ward.online.here("7", by="ward")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with pytest.raises(NotRunningChannel):
        ward.online.members("7")
