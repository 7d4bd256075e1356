"""Moving: the next connection is open before the present one is closed, and no call is lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing, suppress
from http import HTTPStatus
from typing import Any

import pytest
import pytest_asyncio
from tests.unit.client.conftest import WAIT_S, FakeServer, Peer
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from bolide.client import Backoff, Client, ConnectionState, Status, connect
from bolide.client.ddp.conversation import Conversation

SOON = Backoff(eager_delay_s=0.0, base_s=0.0)
NEVER = Backoff(eager_delay_s=1e6)
BOLIDE = {"extensions": ["move", "resync"]}


@pytest_asyncio.fixture
async def client(server: FakeServer, second_server: FakeServer) -> AsyncIterator[Client]:
    urls = [server.url, second_server.url]
    async with connect(urls, wait=False, backoff=SOON) as client:
        yield client


@pytest_asyncio.fixture
async def peer(server: FakeServer, client: Client) -> Peer:
    peer = await server.accepted(bolide=BOLIDE)
    async with asyncio.timeout(WAIT_S), aclosing(client.statuses()) as statuses:
        async for status in statuses:
            if status.state is ConnectionState.CONNECTED:
                break
    return peer


async def closed(peer: Peer) -> int | None:
    async with asyncio.timeout(WAIT_S):
        await peer.socket.wait_closed()
    return peer.socket.close_code


def refuse(socket: ServerConnection, _: Request) -> Response:
    return socket.respond(HTTPStatus.SERVICE_UNAVAILABLE, "draining")


async def test_it_moves_without_leaving_the_connected_state(
    server: FakeServer, client: Client, peer: Peer
) -> None:
    subscribing = asyncio.create_task(client.subscribe("ward"))
    subscription_id = await peer.answer_sub("a")
    await subscribing
    seen: list[Status] = []

    async def watch() -> None:
        seen.extend([status async for status in client.statuses()])

    watching = asyncio.create_task(watch())
    await peer.send(msg="bolide.move", within=0)
    new = await server.peer()
    connecting = await new.accept(bolide=BOLIDE)
    assert connecting["bolide"] == {"resync": True}
    assert (await new.receive("sub"))["id"] == subscription_id
    assert (await new.receive("bolide.resync"))["subs"] == [subscription_id]
    assert await closed(peer) == 1000
    assert client.collection("p").find().count() == 1
    await new.send(msg="bolide.resync", want=[])
    await new.send(msg="ready", subs=[subscription_id])
    call = asyncio.create_task(client.call("m"))
    await new.answer_call(7)
    assert await call == 7
    await client.close()
    await watching
    states = {status.state for status in seen}
    assert states == {ConnectionState.CONNECTED, ConnectionState.CLOSED}


async def test_it_waits_for_calls_and_calls_made_meanwhile_go_over_the_present_connection(
    server: FakeServer, client: Client, peer: Peer
) -> None:
    slow = asyncio.create_task(client.call("slow", retry=False))
    slow_message = await peer.receive("method")
    await peer.send(msg="bolide.move", within=0)
    await peer.send(msg="ping", id="after")
    await peer.receive("pong")
    quick = asyncio.create_task(client.call("quick", retry=False))
    await peer.answer_call(1)
    assert await quick == 1
    assert server.peers.empty()
    await peer.send(msg="result", id=slow_message["id"], result=2)
    await peer.send(msg="updated", methods=[slow_message["id"]])
    assert await slow == 2
    new = await server.accepted(bolide=BOLIDE)
    assert await closed(peer) == 1000
    call = asyncio.create_task(client.call("m", retry=False))
    barrier = await new.receive("unsub")
    await new.send(msg="nosub", id=barrier["id"])
    await new.answer_call(3)
    assert await call == 3


async def test_it_moves_between_the_calls_of_a_program_that_never_pauses(
    server: FakeServer, client: Client, peer: Peer
) -> None:
    has_moved = asyncio.Event()

    async def call_again_and_again() -> None:
        while not has_moved.is_set():
            await client.call("m", retry=False)

    async def answer(peer: Peer) -> None:
        with suppress(ConnectionClosed):
            while True:
                await peer.answer_call()

    calling = asyncio.create_task(call_again_and_again())
    answering = asyncio.create_task(answer(peer))
    await peer.send(msg="bolide.move", within=0)
    new = await server.accepted(bolide=BOLIDE)
    has_moved.set()
    barrier = await new.receive("unsub")
    await new.send(msg="nosub", id=barrier["id"])
    await new.answer_call()
    await calling
    await answering


async def test_call_made_at_the_moment_of_the_move_is_kept_for_the_new_connection(
    server: FakeServer, client: Client, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[asyncio.Task[Any]] = []
    stop_sending = Conversation.stop_sending

    def stop_and_call(conversation: Conversation) -> None:
        stop_sending(conversation)
        calls.append(asyncio.create_task(client.call("m", retry=False)))

    monkeypatch.setattr(Conversation, "stop_sending", stop_and_call)
    await peer.send(msg="bolide.move", within=0)
    new = await server.accepted(bolide=BOLIDE)
    barrier = await new.receive("unsub")
    await new.send(msg="nosub", id=barrier["id"])
    await new.answer_call(7)
    assert await calls[0] == 7


async def test_it_moves_to_the_next_address_when_the_present_one_is_draining(
    server: FakeServer, second_server: FakeServer, client: Client, peer: Peer
) -> None:
    server.refuse = refuse
    await peer.send(msg="bolide.move", within=0)
    await second_server.accepted(bolide=BOLIDE)
    assert await closed(peer) == 1000
    assert len(server.requests) == 2


async def test_it_stays_while_nobody_else_answers(server: FakeServer) -> None:
    async with connect(server.url, wait=False, backoff=NEVER) as client:
        peer = await server.accepted(bolide=BOLIDE)
        refused = asyncio.Event()

        def refuse_and_tell(socket: ServerConnection, request: Request) -> Response:
            refused.set()
            return refuse(socket, request)

        server.refuse = refuse_and_tell
        await peer.send(msg="bolide.move", within=0)
        await refused.wait()
        call = asyncio.create_task(client.call("m"))
        await peer.answer_call(7)
        assert await call == 7
        assert client.status.state is ConnectionState.CONNECTED


async def test_it_tries_again_when_calls_take_too_long_for_the_open_socket(
    server: FakeServer, client: Client, peer: Peer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bolide.client.connection.link._MAX_UNUSED_S", 0.0)
    calls: list[asyncio.Task[Any]] = []

    def call_first(_: ServerConnection, __: Request) -> None:
        if not calls:
            calls.append(asyncio.create_task(client.call("m", retry=False)))

    server.refuse = call_first
    monkeypatch.setattr("bolide.client.connection.link.random.random", lambda: 0.0)
    await peer.send(msg="bolide.move", within=1e6)
    message = await peer.receive("method")
    unused = await server.peer()
    assert await closed(unused) == 1000
    await peer.send(msg="result", id=message["id"], result=7)
    await peer.send(msg="updated", methods=[message["id"]])
    assert await calls[0] == 7
    await server.accepted(bolide=BOLIDE)
    assert await closed(peer) == 1000


async def test_request_that_was_not_agreed_on_is_not_obeyed(server: FakeServer) -> None:
    async with connect(server.url, wait=False, backoff=SOON) as client:
        peer = await server.accepted(bolide={})
        await peer.send(msg="bolide.move", within=0)
        await peer.send(msg="ping", id="after")
        await peer.receive("pong")
        assert client.status.state is ConnectionState.CONNECTED
        assert len(server.requests) == 1


async def test_closing_while_a_move_waits_leaves_nothing_open(server: FakeServer) -> None:
    async with connect(server.url, wait=False, backoff=SOON) as client:
        peer = await server.accepted(bolide=BOLIDE)
        call = asyncio.create_task(client.call("m"))
        await peer.receive("method")
        await peer.send(msg="bolide.move", within=0)
        await peer.send(msg="ping", id="after")
        await peer.receive("pong")
    assert len(server.requests) == 1
    await asyncio.wait([call])
    assert call.exception() is not None
