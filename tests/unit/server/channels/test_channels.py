"""Channels of one node: who may send and listen, and what clients see."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from pydantic import BaseModel
from structlog.testing import capture_logs

from bolide.core.ddp.messages import Added, Removed
from bolide.core.errors import ConfigurationError, MethodError
from bolide.server import AccessRequest, App, Context
from bolide.server.channels.channel import NotRunningChannel
from bolide.server.channels.payload import WrongPayload
from bolide.server.limits import Limits
from bolide.server.methods.errors import wire_error
from bolide.server.testing import TestClient, TestNode


class Typing(BaseModel):
    """Somebody types."""

    bed: int


class Ward:
    """An app with an open and a scoped channel.

    Attributes:
        grants: ``(user, access scope)``.
        seen: What handlers met that they should not have.
    """

    def __init__(self) -> None:
        self.app = App()
        self.grants: set[tuple[str | None, str | None]] = set()
        self.app.authorize = self.authorize
        self.typing = self.app.channel("typing", Typing)
        self.alarms = self.app.channel("alarms", str, access=True, shown_for_s=60)
        self.beds = self.app.collection("beds")
        self.app.method("type", public=True)(self.type)
        self.app.method("typeUndecided")(self.type)
        self.app.method("alarm")(self.alarm)
        self.app.method("alarmElsewhere")(self.alarm_elsewhere)
        self.app.method("alarmUnopened", public=True)(self.alarm_elsewhere_unopened)
        self.app.publish("typing", public=True)(self.listen)
        self.app.publish("typingUndecided")(self.listen)
        self.app.publish("board", public=True)(self.board)
        self.app.publish("alarms")(self.listen_to_alarms)
        self.app.publish("alarmsUnopened", public=True)(self.listen_to_alarms_unopened)
        self.app.publish("alarmsElsewhere")(self.listen_elsewhere)
        self.app.publish("twice", public=True)(self.twice)

    def authorize(self, request: AccessRequest, /) -> bool:
        return (request.user_id, request.access_scope) in self.grants

    async def type(self, ctx: Context, ward: str, bed: int) -> None:
        await self.typing.send(ward, Typing(bed=bed))

    async def alarm(self, ctx: Context, ward: str, text: str) -> None:
        ctx.require("alarm", ward)
        await self.alarms.send(ward, text)

    async def alarm_elsewhere(self, ctx: Context, ward: str) -> None:
        ctx.require("alarm", ward)
        await self.alarms.send("other", "")

    async def alarm_elsewhere_unopened(self, ctx: Context) -> None:
        await self.alarms.send("7", "")

    async def listen(self, ctx: Context, ward: str) -> object:
        return self.typing.listen(ward)

    async def board(self, ctx: Context, ward: str) -> object:
        return [self.beds.find({"ward": ward}), self.typing.listen(ward), self.typing.listen("all")]

    async def listen_to_alarms(self, ctx: Context, ward: str) -> object:
        ctx.require("read", ward)
        return self.alarms.listen(ward)

    async def listen_to_alarms_unopened(self, ctx: Context) -> object:
        return self.alarms.listen("7")

    async def listen_elsewhere(self, ctx: Context, ward: str) -> object:
        ctx.require("read", ward)
        return self.alarms.listen("other")

    async def twice(self, ctx: Context) -> object:
        return [self.typing.listen("7"), self.typing.listen("7")]


@pytest.fixture
def ward() -> Ward:
    return Ward()


@pytest.fixture
async def node(ward: Ward) -> AsyncIterator[TestNode]:
    async with TestNode(ward.app) as node:
        yield node


def shown(client: TestClient, channel: str = "typing") -> list[Any]:
    return [document["message"] for document in client.documents(channel)]


async def test_a_message_reaches_every_listener_of_its_topic_and_then_goes(
    node: TestNode,
) -> None:
    first, second, elsewhere = [await node.connect() for _ in range(3)]
    for client, ward in ((first, "7"), (second, "7"), (elsewhere, "8")):
        await client.subscribe("typing", ward)
    await first.call("type", "7", 3)
    added = await second.received(Added)
    assert added.fields == {"topic": "7", "n": 1, "message": {"bed": 3}}
    assert shown(first) == shown(second) == [{"bed": 3}]
    await node.clock.advance(5)
    removed = await second.received(Removed)
    assert removed.id == added.id
    assert shown(first) == shown(second) == shown(elsewhere) == []


async def test_nobody_is_told_what_was_said_before(node: TestNode) -> None:
    sender, late = await node.connect(), await node.connect()
    subscription = await sender.subscribe("typing", "7")
    await sender.call("type", "7", 3)
    await late.subscribe("typing", "7")
    assert shown(sender) == [{"bed": 3}]
    assert shown(late) == []
    await sender.call("type", "7", 4)
    assert shown(late) == [{"bed": 4}]
    await subscription.stop()
    assert shown(sender) == []
    await sender.subscribe("typing", "7")
    await sender.call("type", "7", 5)
    assert shown(sender) == [{"bed": 5}]
    await node.clock.advance(10)
    assert shown(late) == []


async def test_it_is_published_beside_cursors_and_other_topics(ward: Ward, node: TestNode) -> None:
    await ward.beds.insert_one({"_id": "b", "ward": "7"})
    client = await node.connect()
    await client.subscribe("board", "7")
    await client.call("type", "7", 3)
    await client.call("type", "all", 4)
    assert shown(client) == [{"bed": 3}, {"bed": 4}]
    assert client.documents("beds") == [{"_id": "b", "ward": "7"}]


async def test_two_subscriptions_to_one_topic_show_each_message_once(node: TestNode) -> None:
    client = await node.connect()
    first = await client.subscribe("typing", "7")
    await client.subscribe("board", "7")
    await client.call("type", "7", 3)
    assert shown(client) == [{"bed": 3}]
    await first.stop()
    assert shown(client) == [{"bed": 3}]
    await node.clock.advance(5)
    assert shown(client) == []


@pytest.mark.parametrize(
    ("method", "args", "explanation"),
    [
        ("typeUndecided", ("7", 3), "The method typeUndecided sent to typing without a decision"),
        ("alarmUnopened", (), "The method alarmUnopened sent to alarms without an open access"),
    ],
)
async def test_nothing_is_sent_without_a_decision(
    node: TestNode, method: str, args: tuple[Any, ...], explanation: str
) -> None:
    client, listener = await node.connect(), await node.connect()
    await listener.subscribe("typing", "7")
    with capture_logs() as logs, pytest.raises(MethodError) as refused:
        await client.call(method, *args)
    assert refused.value.error == 500
    assert explanation in str(logs)
    assert shown(listener) == []


@pytest.mark.parametrize(
    ("publication", "args", "explanation"),
    [
        ("typingUndecided", ("7",), "publication typingUndecided returned"),
        ("alarmsUnopened", (), "publication alarmsUnopened listened to alarms without an open"),
        ("twice", (), "the same topic of a channel twice"),
    ],
)
async def test_nobody_listens_without_a_decision(
    node: TestNode, publication: str, args: tuple[Any, ...], explanation: str
) -> None:
    client = await node.connect()
    with capture_logs() as logs, pytest.raises(MethodError) as refused:
        await client.subscribe(publication, *args)
    assert refused.value.error == 500
    assert explanation in str(logs)
    await client.call("type", "7", 3)
    assert shown(client) == []


async def test_a_topic_that_is_an_access_scope_has_to_be_opened(ward: Ward, node: TestNode) -> None:
    ward.grants = {("ann", "7")}
    ann, ben = await node.connect(user_id="ann"), await node.connect(user_id="ben")
    refusals: list[tuple[TestClient, str, tuple[str, ...]]]
    await ann.subscribe("alarms", "7")
    await ann.call("alarm", "7", "now")
    assert shown(ann, "alarms") == ["now"]
    refusals = [(ben, "alarms", ("7",)), (ann, "alarms", ("8",)), (ann, "alarmsElsewhere", ("7",))]
    for client, name, args in refusals:
        with pytest.raises(MethodError) as refused:
            await client.subscribe(name, *args)
        assert refused.value.error == 403
    refusals = [
        (ben, "alarm", ("7", "x")),
        (ann, "alarm", ("8", "x")),
        (ann, "alarmElsewhere", ("7",)),
    ]
    for client, name, args in refusals:
        with pytest.raises(MethodError) as refused:
            await client.call(name, *args)
        assert refused.value.error == 403


async def test_no_message_reaches_who_lost_access(ward: Ward, node: TestNode) -> None:
    ward.grants = {("ann", "7"), ("ben", "7")}
    ann, ben = await node.connect(user_id="ann"), await node.connect(user_id="ben")
    for client in (ann, ben):
        await client.subscribe("alarms", "7")
    await ben.call("alarm", "7", "before")
    assert shown(ann, "alarms") == ["before"]
    ward.grants = {("ben", "7")}
    ward.app.access_changed("ann")
    # In the same turn of the loop, before anything could run again.
    await ward.alarms.send("7", "after")
    await ann.published()
    await ben.call("alarm", "7", "later")
    assert shown(ann, "alarms") == []
    assert shown(ben, "alarms") == ["before", "after", "later"]
    assert not any("later" in str(m) or "after" in str(m) for m in ann.messages)


async def test_another_user_of_the_session_hears_by_a_decision_of_its_own(
    ward: Ward, node: TestNode
) -> None:
    @ward.app.method("login", public=True)
    async def login(ctx: Context, user: str) -> None:
        await ctx.set_user_id(user)

    ward.grants = {("ann", "7")}
    client = await node.connect(user_id="ann")
    await client.subscribe("alarms", "7")
    await ward.alarms.send("7", "for ann")
    assert await client.received(Added)
    await client.call("login", "ben")
    await ward.alarms.send("7", "not for ben")
    await node.settle()
    assert shown(client, "alarms") == []


async def test_a_client_whose_socket_is_full_sees_by_the_numbers_what_it_missed(
    node: TestNode,
) -> None:
    client, sender = await node.connect(), await node.connect()
    await client.subscribe("typing", "7")
    await sender.call("type", "7", 1)
    await client.received(Added)
    client.socket.stall()
    for bed in range(2, 6):
        await sender.call("type", "7", bed)
    await node.clock.advance(5)
    await sender.call("type", "7", 6)
    client.socket.drain()
    await node.settle()
    numbers = [document["n"] for document in client.documents("typing")]
    assert numbers == [6]
    assert client.close_reason is None


async def test_what_waits_for_a_client_that_does_not_read_is_bounded(ward: Ward) -> None:
    limits = Limits(max_channel_messages=10, max_channel_topic_rate=1_000)
    async with TestNode(ward.app, limits=limits) as node:
        client = await node.connect()
        await client.subscribe("typing", "7")
        client.socket.stall()
        for bed in range(1_000):
            await ward.typing.send("7", Typing(bed=bed))
        assert client.socket.driver.session.waiting_documents <= 2 * limits.max_channel_messages
        client.socket.drain()
        await node.settle()
        assert len(client.documents("typing")) <= 10


@pytest.mark.parametrize(
    ("topic", "message", "said"),
    [
        ("7", {"bed": "Meyer"}, '"message.bed"'),
        ("7", Typing(bed=1).model_copy(update={"bed": "Meyer"}), '"message.bed"'),
        ("Meyer" * 100, Typing(bed=1), "500 bytes"),
        ("7", {"bed": 1, "nick": "Meyer" * 2_000}, "max_channel_message_bytes"),
    ],
)
async def test_what_cannot_be_sent_is_refused_without_its_value(
    ward: Ward, node: TestNode, topic: str, message: Any, said: str
) -> None:
    with pytest.raises((MethodError, WrongPayload)) as refused:
        await ward.typing.send(topic, message)
    is_wrong = isinstance(refused.value, WrongPayload)
    assert is_wrong == said.startswith('"')
    assert wire_error(refused.value).error == (500 if is_wrong else 400)
    assert said in str(refused.value)
    assert "Meyer" not in str(refused.value)


async def test_a_topic_is_a_text(ward: Ward, node: TestNode) -> None:
    with pytest.raises(TypeError, match="A topic is a text, not a int"):
        await ward.typing.send(7, Typing(bed=1))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def test_a_session_may_not_send_too_often(ward: Ward) -> None:
    async with TestNode(ward.app, limits=Limits(max_channel_session_rate=2)) as node:
        client, other = await node.connect(), await node.connect()
        await client.call("type", "7", 1)
        await client.call("type", "8", 1)
        with pytest.raises(MethodError) as refused:
            await client.call("type", "9", 1)
        assert refused.value.error == "too-many-requests"
        await other.call("type", "7", 1)
        await node.clock.advance(1)
        await client.call("type", "9", 1)


async def test_what_no_node_of_ours_sent_is_not_shown(ward: Ward, node: TestNode) -> None:
    client = await node.connect()
    await client.subscribe("typing", "7")
    broadcast = node.node.broadcast
    assert broadcast is not None
    with capture_logs() as logs:
        for payload in (b"\xff", b"Meyer", b"[]", b'[7,{"bed":1}]', b'["7",{"bed":"Meyer"}]'):
            broadcast.publish("channel/typing", payload)
        broadcast.publish("channel/unknown", b'["7",{"bed":1}]')
        broadcast.publish("typing", b'["7",{"bed":1}]')
    await node.settle()
    assert shown(client) == []
    assert len(logs) == 5
    assert "Meyer" not in str(logs)


async def test_a_channel_reaches_nobody_before_the_app_runs(ward: Ward) -> None:
    with pytest.raises(NotRunningChannel, match="reach nobody"):
        await ward.typing.send("7", Typing(bed=1))
    async with TestNode(ward.app):
        await ward.typing.send("7", Typing(bed=1))
    with pytest.raises(NotRunningChannel):
        await ward.typing.send("7", Typing(bed=1))


async def test_a_start_up_hook_may_send(ward: Ward) -> None:
    sent = asyncio.Event()

    @ward.app.on_startup
    async def hook() -> None:
        await ward.alarms.send("7", "up")
        sent.set()

    async with TestNode(ward.app):
        assert sent.is_set()


async def test_an_app_without_channels_has_no_broadcast() -> None:
    async with TestNode(App()) as node:
        assert node.node.broadcast is None


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("beds", {}, "The name of a channel"),
        ("typing", {}, "used once"),
        ("_bolide", {}, "not _bolide"),
        ("new", {"access": "ward"}, "access of app.channel"),
        ("new", {"shown_for_s": 0}, "shown_for_s of app.channel"),
        ("new", {"shown_for_s": 3601}, "at most 3600"),
    ],
)
def test_a_declaration_that_cannot_work_is_refused(
    ward: Ward, name: str, options: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words):
        ward.app.channel(name, str, **options)


def test_no_collection_is_called_like_a_channel(ward: Ward) -> None:
    with pytest.raises(ConfigurationError, match="used once"):
        ward.app.collection("typing")


async def test_a_place_may_be_left_twice(ward: Ward, node: TestNode) -> None:
    class Host:
        def source_changed(self, source: object, changes: object) -> None:
            raise AssertionError

    hub = node.node.services.channels
    assert hub is not None
    listened = hub.listen("typing", "7", 5, Host())
    listened.stop()
    listened.stop()
    await ward.typing.send("7", Typing(bed=1))


async def test_a_topic_that_stops_being_heard_is_forgotten(ward: Ward, node: TestNode) -> None:
    client = await node.connect()
    subscription = await client.subscribe("typing", "7")
    await client.call("type", "7", 1)
    hub = node.node.services.channels
    assert hub is not None
    assert (hub.topic_count, hub.listener_count) == (1, 1)
    await subscription.stop()
    assert (hub.topic_count, hub.listener_count) == (0, 0)
    await node.clock.advance(10)
