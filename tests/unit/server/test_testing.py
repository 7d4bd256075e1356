"""The test kit: it keeps time, and it notices a server that breaks the protocol."""

import asyncio

import pytest

from bolide.core.ddp.messages import Added, Changed, Removed
from bolide.core.errors import MethodError
from bolide.server import App, Context
from bolide.server.testing import FakeClock, TestClient, TestNode, TestSocket


async def test_time_passes_only_when_told() -> None:
    clock = FakeClock(5.0)
    ran: list[float] = []
    clock.call_at(8.0, lambda: ran.append(clock.now()))
    clock.call_at(7.0, lambda: clock.call_at(7.5, lambda: ran.append(clock.now())))
    cancelled = clock.call_at(6.0, lambda: ran.append(0.0))
    cancelled.cancel()
    await clock.advance(1.9)
    assert ran == []
    await clock.advance(10)
    assert ran == [7.5, 8.0]
    assert clock.now() == pytest.approx(16.9)
    assert clock.wall_ms() == 16_900


async def test_what_is_overdue_runs_without_turning_time_back() -> None:
    clock = FakeClock(5.0)
    ran: list[float] = []
    clock.call_at(1.0, lambda: ran.append(clock.now()))
    await clock.advance(0)
    assert ran == [5.0]


ADDED = b'{"msg":"added","collection":"c","id":"1","fields":{"x":1}}'
CHANGED = b'{"msg":"changed","collection":"c","id":"1","fields":{"y":2},"cleared":["x"]}'
REMOVED = b'{"msg":"removed","collection":"c","id":"1"}'


def test_a_client_shows_what_it_is_told() -> None:
    client = TestClient(TestSocket())
    client.socket.send([ADDED, CHANGED])
    assert client.document("c", "1") == {"_id": "1", "y": 2}
    client.socket.send([REMOVED])
    assert client.documents("c") == []
    assert client.documents("never heard of") == []
    assert [type(message) for message in client.messages] == [Added, Changed, Removed]


@pytest.mark.parametrize("frames", [[ADDED, ADDED], [CHANGED], [REMOVED], [b'{"msg":"what"}']])
def test_a_client_notices_what_the_protocol_forbids(frames: list[bytes]) -> None:
    client = TestClient(TestSocket())
    client.socket.send(frames)
    with pytest.raises(AssertionError):
        client.documents("c")


def test_a_client_notices_a_second_result() -> None:
    client = TestClient(TestSocket())
    client.socket.send([b'{"msg":"result","id":"1"}'] * 2)
    with pytest.raises(AssertionError, match="two results"):
        client.documents("c")


async def test_waiting_ends_with_what_came_last() -> None:
    client = TestClient(TestSocket())
    client.socket.send([ADDED])
    with pytest.raises(AssertionError, match="Added"):
        await client.received(Removed, timeout_s=0.01)
    client.socket.close("over")
    with pytest.raises(AssertionError, match="closed: over"):
        await client.received(Removed)


async def test_an_answer_may_be_an_error() -> None:
    app = App()

    @app.method("no", public=True)
    async def no(ctx: Context) -> None:
        raise MethodError(418, "teapot", {"a": 1})

    @app.publish("no", public=True)
    async def publish(ctx: Context) -> None:
        raise MethodError("no", "not you")

    async with TestNode(app) as node:
        client = await node.connect(bolide=True)
        with pytest.raises(MethodError) as caught:
            await client.call("no")
        assert (caught.value.error, caught.value.details) == (418, {"a": 1})
        with pytest.raises(MethodError, match=r"not you \[no\]"):
            await client.subscribe("no")
        await client.close()
        assert client.close_reason == "The client disconnected"


async def test_the_same_kind_of_message_is_waited_for_again() -> None:
    client = TestClient(TestSocket())
    client.socket.send([ADDED])
    first = asyncio.create_task(client.received(Added))
    assert (await first).id == "1"
    second = asyncio.create_task(client.received(Added))
    client.socket.send([ADDED.replace(b'"1"', b'"2"', 1)])
    assert (await second).id == "2"


async def test_a_stalled_client_is_told_later_what_came_meanwhile() -> None:
    app = App()
    wards = app.collection("wards")

    @app.publish("wards", public=True)
    async def publish(ctx: Context) -> object:
        return wards.find()

    async with TestNode(app) as node:
        client = await node.connect()
        await client.subscribe("wards")
        client.socket.stall()
        client.socket.room_bytes = 10_000
        await wards.insert_one({"_id": "1", "beds": 1})
        await node.settle()
        assert client.socket.waiting_bytes > 0
        assert client.documents("wards") == []
        client.socket.drain()
        assert client.documents("wards") == [{"_id": "1", "beds": 1}]
