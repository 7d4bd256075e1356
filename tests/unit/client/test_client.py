"""A client against a real WebSocket server: calls, subscriptions, collections, statuses."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from typing import Any, TypeVar

import pytest
import pytest_asyncio
from tests.unit.client.conftest import WAIT_S, FakeServer, Peer

from bolide.client import (
    Added,
    Backoff,
    Changed,
    Client,
    ClientLimits,
    ConnectionState,
    Moved,
    Removed,
    Simulation,
    connect,
)
from bolide.core.ddp.random import SeededStreams
from bolide.core.errors import EJSONError, MethodError, SessionBusy, SessionClosed

T = TypeVar("T")

SOON = Backoff(eager_delay_s=0.0, base_s=0.0)


@pytest_asyncio.fixture
async def client(server: FakeServer) -> AsyncIterator[Client]:
    async with connect(server.url, wait=False, backoff=SOON) as client:
        yield client


@pytest_asyncio.fixture
async def peer(server: FakeServer, client: Client) -> Peer:
    peer = await server.accepted()
    await state(client, ConnectionState.CONNECTED)
    return peer


async def state(client: Client, wanted: ConnectionState) -> None:
    async with asyncio.timeout(WAIT_S), aclosing(client.statuses()) as statuses:
        async for status in statuses:
            if status.state is wanted and not status.catching_up:
                return
    raise AssertionError("the client has ended")


async def following(items: AsyncGenerator[T, None]) -> T:
    async with asyncio.timeout(WAIT_S):
        return await anext(items)


# Calls


async def test_call_returns_after_result_and_updated(client: Client, peer: Peer) -> None:
    call = asyncio.create_task(client.call("m", 1, "a"))
    message = await peer.receive("method")
    assert (message["method"], message["params"]) == ("m", [1, "a"])
    await peer.send(msg="result", id=message["id"], result={"n": 1})
    await peer.added("a", n=1)
    await peer.send(msg="updated", methods=[message["id"]])
    assert await call == {"n": 1}
    assert client.collection("p").find().fetch() == [{"_id": "a", "n": 1}]


@pytest.mark.parametrize(
    ("wire", "error"), [(404, 404), ("gone", "gone"), (404.0, 404), (1.5, "1.5")]
)
async def test_call_raises_the_servers_error(
    client: Client, peer: Peer, wire: Any, error: Any
) -> None:
    call = asyncio.create_task(client.call("m"))
    message = await peer.receive("method")
    wire_error = {"error": wire, "reason": "No", "details": {"x": 1}}
    await peer.send(msg="result", id=message["id"], error=wire_error)
    await peer.send(msg="updated", methods=[message["id"]])
    with pytest.raises(MethodError) as caught:
        await call
    assert (caught.value.error, caught.value.reason, caught.value.details) == (
        error,
        "No",
        {"x": 1},
    )


async def test_what_the_server_does_not_take_is_told_to_the_caller_and_not_sent(
    server: FakeServer,
) -> None:
    limits = {"max_message_bytes": 1_000, "max_json_depth": 5}
    async with connect(server.url, wait=False) as client:
        # Made before the limits are known.
        early = asyncio.create_task(client.call("early", "x" * 1_000))
        peer = await server.accepted(bolide={"limits": limits})
        with pytest.raises(MethodError, match="takes 1056 bytes, and the server takes 1000"):
            await early
        for retry in (True, False):
            with pytest.raises(MethodError, match=r"levels deep.*\(max_json_depth\)") as caught:
                await client.call("deep", [[[[]]]], retry=retry)
            assert caught.value.error == "message-too-large"
            assert caught.value.details == {"size": 6, "limit": 5}
        with pytest.raises(MethodError, match="max_message_bytes"):
            await client.subscribe("s", "é" * 500)
        call = asyncio.create_task(client.call("m"))
        assert (await peer.answer_call(1))["method"] == "m"
        assert await call == 1


async def test_an_integer_beyond_64_bits_is_refused_at_once(client: Client) -> None:
    for number in (2**63, -(2**63) - 1):
        with pytest.raises(ValueError, match="64 bits"):
            await client.call("m", number)
        with pytest.raises(ValueError, match="64 bits"):
            await client.subscribe("s", {"n": number})


async def test_cancelled_call_is_forgotten(client: Client, peer: Peer) -> None:
    call = asyncio.create_task(client.call("m"))
    message = await peer.receive("method")
    call.cancel()
    await asyncio.wait([call])
    assert call.cancelled()
    await peer.send(msg="result", id=message["id"])
    await peer.send(msg="updated", methods=[message["id"]])
    next_call = asyncio.create_task(client.call("n"))
    await peer.answer_call(2)
    assert await next_call == 2


async def test_call_without_retry_fails_when_the_connection_is_lost(
    client: Client, peer: Peer
) -> None:
    call = asyncio.create_task(client.call("m", retry=False))
    await peer.receive("method")
    await peer.drop()
    with pytest.raises(MethodError, match="invocation-failed"):
        await call


async def test_what_was_sent_before_too_large_a_frame_fails_and_is_not_sent_again(
    server: FakeServer,
) -> None:
    limits = ClientLimits(max_frame_bytes=1_000)
    async with connect(server.url, wait=False, backoff=SOON, limits=limits) as client:
        call = asyncio.create_task(client.call("m"))
        subscribing = asyncio.create_task(client.subscribe("s"))
        peer = await server.accepted()
        message = await peer.receive("method")
        await peer.receive("sub")
        await peer.send(msg="result", id=message["id"], result="x" * 2_000)
        with pytest.raises(MethodError, match=r"max_frame_bytes \(1000\).*not known") as caught:
            await call
        assert caught.value.error == "invocation-failed"
        with pytest.raises(MethodError, match=r"max_frame_bytes.*\[subscription-failed\]"):
            await subscribing
        again = await server.accepted()
        next_call = asyncio.create_task(client.call("n"))
        await again.receive("unsub")  # the barrier of the catching up
        assert (await again.receive("method"))["method"] == "n"
        next_call.cancel()


async def test_call_is_sent_again_after_a_reconnect(
    server: FakeServer, client: Client, peer: Peer
) -> None:
    call = asyncio.create_task(client.call("m"))
    await peer.receive("method")
    await peer.drop()
    again = await server.accepted()
    barrier = await again.receive("unsub")
    await again.receive("method")
    await again.send(msg="nosub", id=barrier["id"])
    await again.send(msg="result", id="1", result=7)
    await again.send(msg="updated", methods=["1"])
    assert await call == 7


async def test_client_says_that_what_it_shows_may_be_late_until_it_is_over(
    server: FakeServer, client: Client, peer: Peer
) -> None:
    statuses = client.statuses()
    assert (await following(statuses)).late_because is None
    await peer.send(msg="bolide.late", because="the database\ndoes not answer")
    assert (await following(statuses)).late_because == "the database does not answer"
    await peer.send(msg="bolide.late")
    assert (await following(statuses)).late_because is None
    await peer.send(msg="bolide.late", because="why")
    assert (await following(statuses)).late_because == "why"
    await peer.drop()
    await server.accepted()
    while (status := await following(statuses)).state is not ConnectionState.CONNECTED:
        pass
    assert status.late_because is None
    await statuses.aclose()


async def test_call_keeps_its_identity_while_the_server_is_away(server: FakeServer) -> None:
    secret = "s" * 20
    extensions = {"extensions": ["call"]}
    async with connect(server.url, wait=False, backoff=SOON, client_id=secret) as client:
        peer = await server.accepted(bolide=extensions)
        call = asyncio.create_task(client.call("m", call_id="order 7"))
        other = asyncio.create_task(client.call("n"))
        first = [await peer.receive("method") for _ in "mn"]
        assert first[0]["bolide"] == {"client": secret, "call": "order 7"}
        assert first[1]["bolide"]["call"] != "order 7"
        await server.stop()
        await state(client, ConnectionState.WAITING)
        await server.start()
        peer = await server.accepted(bolide=extensions)
        await peer.receive("unsub")
        for message in first:
            assert await peer.answer_call(7) == message
        await peer.send(msg="nosub", id="3")
        assert (await call, await other) == (7, 7)


@pytest.mark.parametrize(
    ("wire", "reason"), [({}, "look before you call again"), ({"reason": "Look"}, "Look")]
)
async def test_call_whose_outcome_nobody_knows_says_what_to_do(
    client: Client, peer: Peer, wire: Any, reason: str
) -> None:
    call = asyncio.create_task(client.call("m"))
    message = await peer.receive("method")
    await peer.send(
        msg="result", id=message["id"], error={"error": "write-outcome-unknown", **wire}
    )
    await peer.send(msg="updated", methods=[message["id"]])
    with pytest.raises(MethodError, match=rf"{reason}.* \[write-outcome-unknown\]"):
        await call


async def test_argument_that_is_no_value_is_refused(client: Client, peer: Peer) -> None:
    with pytest.raises(EJSONError):
        await client.call("m", object())
    with pytest.raises(EJSONError):
        await client.subscribe("s", object())


async def test_more_calls_than_the_limit_are_refused(server: FakeServer) -> None:
    limits = ClientLimits(max_calls=1)
    async with connect(server.url, wait=False, limits=limits) as client:
        call = asyncio.create_task(client.call("m"))
        peer = await server.accepted()
        message = await peer.receive("method")
        with pytest.raises(SessionBusy):
            await client.call("m")
        await peer.send(msg="result", id=message["id"])
        await peer.send(msg="updated", methods=[message["id"]])
        await call


# Stubs


async def test_stub_shows_its_effect_until_the_server_has_answered(
    client: Client, peer: Peer
) -> None:
    @client.stub("move")
    def move(sim: Simulation, document_id: str, n: int) -> None:
        sim.collection("p").update(document_id, {"$set": {"n": n}})
        sim.collection("p").insert({"n": n})

    await peer.added("a", n=1)
    await settle(client, peer)
    query = client.collection("p").find(sort=[("n", 1)])
    call = asyncio.create_task(client.call("move", "a", 2))
    message = await peer.receive("method")
    drawn = SeededStreams(message["randomSeed"]).stream("/collection/p").id()
    assert query.fetch() == [{"_id": "a", "n": 2}, {"_id": drawn, "n": 2}]
    await peer.send(msg="changed", collection="p", id="a", fields={"n": 3})
    await peer.send(msg="result", id=message["id"])
    await peer.send(msg="ping", id="after")
    await peer.receive("pong")
    assert len(query.fetch()) == 2
    await peer.send(msg="updated", methods=[message["id"]])
    await call
    assert query.fetch() == [{"_id": "a", "n": 3}]


async def test_stub_that_fails_is_logged_and_the_call_is_sent(
    client: Client, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    @client.stub("move")
    def move(sim: Simulation, name: str) -> None:
        raise ValueError(name)

    with caplog.at_level(logging.WARNING, "bolide.client"):
        call = asyncio.create_task(client.call("move", "Ada"))
        await peer.answer_call(7)
        assert await call == 7
    (record,) = caplog.records
    assert record.getMessage().startswith("The stub of move failed: ValueError in test_client.py")
    assert "Ada" not in caplog.text


async def test_call_that_is_refused_leaves_no_effect_of_its_stub(server: FakeServer) -> None:
    limits = ClientLimits(max_calls=1)
    async with connect(server.url, wait=False, limits=limits) as client:

        @client.stub("add")
        def add(sim: Simulation, n: object) -> None:
            sim.collection("p").insert({"n": 1})

        with pytest.raises(EJSONError):
            await client.call("add", object())
        call = asyncio.create_task(client.call("m"))
        peer = await server.accepted()
        await peer.receive("method")
        with pytest.raises(SessionBusy):
            await client.call("add", 1)
        assert client.collection("p").find().count() == 0
        call.cancel()


# Subscriptions


async def test_subscribe_returns_when_the_documents_are_there(client: Client, peer: Peer) -> None:
    subscribing = asyncio.create_task(client.subscribe("ward", "7"))
    await peer.answer_sub("a", "b")
    subscription = await subscribing
    assert (subscription.name, subscription.args, subscription.is_active) == ("ward", ("7",), True)
    assert client.collection("p").find().count() == 2
    assert client.collection("p").name == "p"


async def test_refused_subscription_raises_the_servers_error(client: Client, peer: Peer) -> None:
    subscribing = asyncio.create_task(client.subscribe("ward"))
    message = await peer.receive("sub")
    await peer.send(msg="nosub", id=message["id"], error={"error": 403, "reason": "No"})
    with pytest.raises(MethodError, match=r"No \[403\]"):
        await subscribing


async def test_subscription_that_ends_before_it_is_ready_raises(client: Client, peer: Peer) -> None:
    subscribing = asyncio.create_task(client.subscribe("ward"))
    message = await peer.receive("sub")
    await peer.send(msg="nosub", id=message["id"])
    with pytest.raises(MethodError, match="subscription-stopped"):
        await subscribing


async def test_equal_subscriptions_share_one_until_the_last_is_stopped(
    client: Client, peer: Peer
) -> None:
    subscribing = [
        asyncio.create_task(client.subscribe("ward", {"a": 1, "b": 2})),
        asyncio.create_task(client.subscribe("ward", {"b": 2, "a": 1})),
    ]
    subscription_id = await peer.answer_sub()
    first, second = await asyncio.gather(*subscribing)
    third = await client.subscribe("ward", {"a": 1, "b": 2})
    await first.stop()
    await first.stop()
    assert await first.wait_ended() is None
    await third.stop()
    assert second.is_active
    stopping = asyncio.create_task(second.stop())
    assert (await peer.receive("unsub"))["id"] == subscription_id
    assert not stopping.done()
    await peer.send(msg="nosub", id=subscription_id)
    await stopping
    assert not second.is_active


async def test_subscription_stopped_by_its_context_can_be_made_again(
    client: Client, peer: Peer
) -> None:
    for _ in range(2):
        subscribing = asyncio.create_task(client.subscribe("ward"))
        subscription_id = await peer.answer_sub("a")

        async def end(subscription_id: str = subscription_id) -> None:
            await peer.receive("unsub")
            await peer.send(msg="removed", collection="p", id="a")
            await peer.send(msg="nosub", id=subscription_id)

        ending = asyncio.create_task(end())
        async with await subscribing:
            assert client.collection("p").find().count() == 1
        assert client.collection("p").find().count() == 0
        await ending


async def test_subscription_that_the_server_ends_tells_why(client: Client, peer: Peer) -> None:
    subscribing = asyncio.create_task(client.subscribe("ward"))
    subscription_id = await peer.answer_sub()
    subscription = await subscribing
    ended = asyncio.create_task(subscription.wait_ended())
    await peer.send(msg="nosub", id=subscription_id, error={"error": "closed"})
    error = await ended
    assert isinstance(error, MethodError)
    assert error.error == "closed"
    assert not subscription.is_active
    await subscription.stop()
    again = asyncio.create_task(client.subscribe("ward"))
    await peer.answer_sub()
    assert (await again).is_active


async def test_cancelled_subscribing_stops_the_subscription(client: Client, peer: Peer) -> None:
    subscribing = asyncio.create_task(client.subscribe("ward"))
    message = await peer.receive("sub")
    subscribing.cancel()
    assert (await peer.receive("unsub"))["id"] == message["id"]
    again = asyncio.create_task(client.subscribe("ward"))
    assert (await peer.answer_sub()) != message["id"]
    await peer.send(msg="nosub", id=message["id"])
    assert (await again).is_active


# Reconnects


async def test_view_does_not_flicker_through_a_reconnect(
    server: FakeServer, client: Client, peer: Peer
) -> None:
    subscribing = asyncio.create_task(client.subscribe("ward"))
    await peer.answer_sub("a", "b")
    await subscribing
    changes = client.collection("p").find(sort=[("_id", 1)]).changes()
    results = client.collection("p").find(sort=[("_id", 1)], projection={"n": 1}).results()
    assert [await following(changes) for _ in "ab"] == [
        Added("a", 0, {"_id": "a", "n": 1}),
        Added("b", 1, {"_id": "b", "n": 1}),
    ]
    assert len(await following(results)) == 2
    await peer.drop()
    again = await server.accepted()
    assert client.collection("p").find().count() == 2
    message = await again.receive("sub")
    assert client.status.catching_up
    await again.added("b", n=2)
    await again.added("c", n=1)
    await again.send(msg="ready", subs=[message["id"]])
    assert [await following(changes) for _ in "abc"] == [
        Removed("a", 0, {"_id": "a", "n": 1}),
        Changed("b", 0, {"_id": "b", "n": 2}, {"n": 2}, ()),
        Added("c", 1, {"_id": "c", "n": 1}),
    ]
    assert await following(results) == [{"_id": "b", "n": 2}, {"_id": "c", "n": 1}]
    assert not client.status.catching_up
    await changes.aclose()
    await results.aclose()


async def test_answers_that_were_held_for_those_who_left_are_dropped(
    server: FakeServer, client: Client, peer: Peer
) -> None:
    subscribing = asyncio.create_task(client.subscribe("ward"))
    await peer.answer_sub()
    ward = await subscribing
    await peer.drop()
    again = await server.accepted()
    message = await again.receive("sub")
    call = asyncio.create_task(client.call("m"))
    await again.answer_call()
    subscribing = asyncio.create_task(client.subscribe("other"))
    await again.answer_sub()
    await again.send(msg="ping", id="after")
    await again.receive("pong")
    await again.drop()
    call.cancel()
    subscribing.cancel()
    await asyncio.wait([call, subscribing])
    last = await server.accepted()
    assert (await last.receive("sub"))["id"] == message["id"]
    await last.send(msg="ready", subs=[message["id"]])
    await state(client, ConnectionState.CONNECTED)
    assert ward.is_active


# Queries


async def test_late_reader_gets_the_difference_and_no_backlog(client: Client, peer: Peer) -> None:
    query = client.collection("p").find(sort={"n": 1})
    changes, results = query.changes(), query.results()
    await peer.added("a", n=1)
    await peer.added("b", n=2)
    await settle(client, peer)
    assert [(await following(changes)).id for _ in "ab"] == ["a", "b"]
    assert len(await following(results)) == 2
    await peer.added("x", n=0)
    await peer.send(msg="removed", collection="p", id="x")
    for n in (5, 6, 7):
        await peer.send(msg="changed", collection="p", id="a", fields={"n": n})
    await settle(client, peer)
    assert [await following(changes) for _ in range(2)] == [
        Moved("a", 0, 1, {"_id": "a", "n": 1}),
        Changed("a", 1, {"_id": "a", "n": 7}, {"n": 7}, ()),
    ]
    assert await following(results) == [{"_id": "b", "n": 2}, {"_id": "a", "n": 7}]
    await changes.aclose()
    await results.aclose()


async def test_readers_wake_for_changes_they_show_and_end_with_the_client(
    server: FakeServer,
) -> None:
    async with connect(server.url, wait=False) as client:
        peer = await server.accepted()
        query = client.collection("p").find({"n": 1})
        seen: list[list[Any]] = []

        async def read() -> None:
            seen.extend([documents async for documents in query.results()])

        async def read_changes() -> int:
            return len([change async for change in query.changes()])

        reading, reading_changes = asyncio.create_task(read()), asyncio.create_task(read_changes())
        await peer.added("a", n=1)
        await settle(client, peer)
        await peer.added("b", n=2)
        await settle(client, peer)
    await reading
    assert seen == [[], [{"_id": "a", "n": 1}]]
    assert await reading_changes == 1
    assert client.collection("p").find_one("a") == {"_id": "a", "n": 1}
    assert [documents async for documents in client.collection("q").find().results()] == [[]]


async def settle(client: Client, peer: Peer) -> None:
    """Return when the client has taken everything that was sent before."""
    call = asyncio.create_task(client.call("settle"))
    await peer.answer_call()
    await call


# Statuses and ends


async def test_statuses_end_with_closed_and_waiting_callers_are_told(server: FakeServer) -> None:
    async with connect(server.url, wait=False) as client:
        peer = await server.accepted()
        subscribing = asyncio.create_task(client.subscribe("held"))
        await peer.answer_sub()
        held = await subscribing
        call = asyncio.create_task(client.call("m"))
        subscribing = asyncio.create_task(client.subscribe("ward"))
        await peer.receive("method")
        await peer.receive("sub")
        assert client.status.state is ConnectionState.CONNECTED
    for task in (call, subscribing):
        with pytest.raises(SessionClosed):
            await task
    assert isinstance(await held.wait_ended(), SessionClosed)
    await held.stop()
    assert [status.state async for status in client.statuses()] == [ConnectionState.CLOSED]
    with pytest.raises(SessionClosed):
        await client.call("m")
    with pytest.raises(SessionClosed):
        await client.subscribe("ward")
    await client.close()


async def test_late_reader_of_statuses_gets_the_newest(
    server: FakeServer, client: Client, peer: Peer
) -> None:
    statuses = client.statuses()
    assert (await following(statuses)).state is ConnectionState.CONNECTED
    await peer.drop()
    await server.peer()
    assert (await following(statuses)).state is ConnectionState.CONNECTING
    await statuses.aclose()


async def test_logs_hold_no_data(
    client: Client, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    for _ in range(2):
        await peer.send(msg="error", reason="Parse error", offendingMessage={"msg": "secret"})
    await peer.added("secret", name="secret")
    call = asyncio.create_task(client.call("m", "secret"))
    await peer.answer_call("secret")
    await call
    ours = [record for record in caplog.records if record.name.startswith("bolide.client")]
    assert [record.levelname for record in ours].count("WARNING") == 1
    assert "secret" not in "".join(record.getMessage() for record in ours)


async def test_a_server_cannot_fill_the_log(
    client: Client, peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    for number in range(150):
        await peer.send(msg="error", reason=f"{number}\n{'x' * 1_000}")
    await peer.send(msg="ping")
    await peer.receive("pong")
    warnings = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert len(warnings) == 100
    assert all("\n" not in text and len(text) < 300 for text in warnings)


# The server's build


async def test_build_of_the_server_is_known_and_a_new_one_is_told(
    server: FakeServer, client: Client
) -> None:
    assert client.server_build is None
    peer = await server.accepted(bolide={"build": "b1"})
    await state(client, ConnectionState.CONNECTED)
    assert client.server_build == "b1"
    assert not client.status.has_new_build
    await peer.drop()
    peer = await server.accepted(bolide={"build": "b2"})
    async with asyncio.timeout(WAIT_S), aclosing(client.statuses()) as statuses:
        async for status in statuses:
            if status.has_new_build:
                break
    assert client.server_build == "b2"
    await peer.drop()
    await server.accepted(bolide={"build": "b1"})
    async with asyncio.timeout(WAIT_S), aclosing(client.statuses()) as statuses:
        async for status in statuses:
            if not status.has_new_build:
                break
    assert client.server_build == "b1"
