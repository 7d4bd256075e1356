"""on_connect against a real WebSocket server: order, failures, losses."""

import asyncio
from contextlib import aclosing

import pytest
from tests.unit.client.conftest import WAIT_S, FakeServer
from websockets.exceptions import ConnectionClosed

from bolide.client import (
    Backoff,
    Client,
    ConnectionFailed,
    ConnectionState,
    OpenedConnection,
    Status,
    connect,
)
from bolide.core.errors import MethodError, SessionClosed, StateError

SOON = Backoff(eager_delay_s=0.0, base_s=0.0)


async def until(client: Client, wanted: ConnectionState) -> Status:
    async with asyncio.timeout(WAIT_S), aclosing(client.statuses()) as statuses:
        async for status in statuses:
            if status.state is wanted:
                return status
    raise AssertionError("the client has ended")


async def log_in(connection: OpenedConnection) -> None:
    await connection.call("login", "ann")


async def test_it_runs_before_all_else_on_every_connection(server: FakeServer) -> None:
    async with connect(server.url, wait=False, backoff=SOON, on_connect=log_in) as client:
        subscribing = asyncio.create_task(client.subscribe("s"))
        peer = await server.accepted()
        login = await peer.receive("method")
        assert (login["method"], login["params"]) == ("login", ["ann"])
        assert client.status.state is ConnectionState.CONNECTING
        assert client.status.reason == "The server has answered, and on_connect has not ended yet."
        await peer.send(msg="result", id=login["id"])
        await peer.answer_sub("a")
        await subscribing
        assert client.status == Status(state=ConnectionState.CONNECTED)
        call = asyncio.create_task(client.call("m"))
        sent = await peer.receive("method")
        await peer.drop()

        again = await server.accepted()
        login = await again.receive("method")
        assert login["method"] == "login"
        await again.send(msg="result", id=login["id"])
        assert (await again.receive("method"))["id"] == sent["id"]
        await again.answer_sub("a")
        await again.send(msg="result", id=sent["id"], result=7)
        await again.send(msg="updated", methods=[sent["id"]])
        assert await call == 7


async def test_a_failure_is_the_reason_and_it_is_tried_again_without_sending_anything(
    server: FakeServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with connect(server.url, wait=False, on_connect=log_in) as client:
        call = asyncio.create_task(client.call("m"))
        peer = await server.accepted()
        login = await peer.receive("method")
        await peer.send(msg="result", id=login["id"], error={"error": 403, "reason": "Expired"})
        status = await until(client, ConnectionState.WAITING)
        assert str(status.reason).endswith(": on_connect failed: Expired [403]")
        assert "on_connect failed: Expired [403]" in caplog.messages
        with pytest.raises(ConnectionClosed):
            await peer.socket.recv()
        again = await server.accepted()
        login = await again.receive("method")
        await again.send(msg="result", id=login["id"])
        barrier = await again.receive("unsub")  # of the catching up
        await again.send(msg="nosub", id=barrier["id"])
        assert (await again.answer_call(1))["method"] == "m"
        assert await call == 1


async def test_entering_fails_with_what_it_raised(server: FakeServer) -> None:
    async def fail(connection: OpenedConnection) -> None:
        raise KeyError("secret")

    async def play() -> None:
        while True:
            await server.accepted()

    playing = asyncio.create_task(play())
    with pytest.raises(ConnectionFailed, match=r"on_connect failed: KeyError in test_.*") as caught:
        async with connect(server.url, connect_timeout_s=1.0, on_connect=fail):
            pass
    assert isinstance(caught.value.__cause__, KeyError)
    assert "secret" not in str(caught.value)
    playing.cancel()


async def test_one_that_cancels_itself_has_failed(server: FakeServer) -> None:
    async def cancel(connection: OpenedConnection) -> None:
        raise asyncio.CancelledError

    async with connect(server.url, wait=False, on_connect=cancel) as client:
        await server.accepted()
        status = await until(client, ConnectionState.WAITING)
        assert "on_connect failed: CancelledError" in str(status.reason)


async def test_a_lost_connection_cancels_it_and_the_next_one_waits_for_its_end(
    server: FakeServer,
) -> None:
    connections: list[OpenedConnection] = []
    began, proceed, cleaned_up = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def stubborn(connection: OpenedConnection) -> None:
        connections.append(connection)
        began.set()
        if len(connections) == 1:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                cleaned_up.set()
                await proceed.wait()
                return  # this is not the end of the next one's
        await connection.call("login")

    async with connect(server.url, wait=False, backoff=SOON, on_connect=stubborn) as client:
        peer = await server.accepted()
        async with asyncio.timeout(WAIT_S):
            await began.wait()
        await peer.drop()
        again = await server.accepted()
        async with asyncio.timeout(WAIT_S):
            await cleaned_up.wait()
        assert len(connections) == 1
        with pytest.raises(SessionClosed):
            await connections[0].call("login")
        proceed.set()
        login = await again.receive("method")
        assert client.status.state is ConnectionState.CONNECTING
        await again.send(msg="result", id=login["id"])
        await until(client, ConnectionState.CONNECTED)
        with pytest.raises(SessionClosed):
            await connections[1].call("login")


async def test_it_cannot_wait_for_what_waits_for_it(server: FakeServer) -> None:
    clients: list[Client] = []
    errors: list[str] = []

    async def wrong(connection: OpenedConnection) -> None:
        for waiting in (clients[0].call("m"), clients[0].subscribe("s")):
            with pytest.raises(StateError, match=r"connection\.call") as caught:
                await waiting
            errors.append(str(caught.value))

    async with connect(server.url, wait=False, on_connect=wrong) as client:
        clients.append(client)
        await server.accepted()
        await until(client, ConnectionState.CONNECTED)
        assert len(errors) == 2


async def test_closing_ends_it(server: FakeServer) -> None:
    ended: list[bool] = []

    async def endless(connection: OpenedConnection) -> None:
        try:
            await connection.call("login")
        finally:
            ended.append(True)

    async with connect(server.url, wait=False, on_connect=endless) as client:
        call = asyncio.create_task(client.call("m"))
        peer = await server.accepted()
        await peer.receive("method")
    assert ended == [True]
    with pytest.raises(SessionClosed):
        await call


async def test_its_errors_are_those_of_the_server(server: FakeServer) -> None:
    caught: list[MethodError] = []

    async def tolerant(connection: OpenedConnection) -> None:
        try:
            await connection.call("login")
        except MethodError as error:
            caught.append(error)

    async with connect(server.url, wait=False, on_connect=tolerant) as client:
        peer = await server.accepted()
        login = await peer.receive("method")
        await peer.send(msg="result", id=login["id"], error={"error": "gone"})
        await until(client, ConnectionState.CONNECTED)
        assert [error.error for error in caught] == ["gone"]
