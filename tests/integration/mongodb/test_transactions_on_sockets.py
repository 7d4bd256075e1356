"""What a node gives to real sockets at once holds no part of a transaction, slow readers included.

``BOLIDE_TESTS_TRANSACTIONS`` is how many transactions there are (100).
"""

import asyncio
import os
import random
import socket
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import pytest
from tests.faults.raw_client import RawClient
from tests.integration.conftest import Server
from tests.integration.mongodb.truth import COLLECTION, Observer, View, Writers, take, truth_of
from tests.turns import yield_once

from bolide.core.ddp.codec import parse_server_message
from bolide.core.ddp.messages import Added, Changed, Connect, Connected, Ready, Removed, Sub
from bolide.server import App, Context
from bolide.server.limits import Limits
from bolide.server.settings import Settings
from bolide.server.stores.base import Query
from bolide.server.stores.mongo.feed import change_stream
from bolide.server.web.transports.push_transport import PushTransport
from bolide.server.web.websocket.protocol import BolideWebSocket

TRANSACTIONS = int(os.environ.get("BOLIDE_TESTS_TRANSACTIONS", "100"))
WRITERS = 4
SMALL_BATCH = 7
TIMEOUT_S = 600
KERNEL_BYTES = 4_096
LAST = "last"
MOST_MESSAGES = (10_000, 500, 10, 2)
"""That each of the clients reads for a turn."""
# Where there is no time for all queries in one turn, a client that follows several sees some later.
UNHURRIED = Limits(live_query_turn_ms=60_000, slow_reader_timeout_s=3600)


class Told:
    """What one connection was given: the state after each time.

    Attributes:
        shown: The states.
    """

    def __init__(self) -> None:
        self.shown: list[int] = []
        self._view = View()
        self._is_ready = False

    def give(self, packets: Sequence[bytes]) -> None:
        """Take what is given at once."""
        for text in _texts(b"".join(packets)):
            message = parse_server_message(text)
            if isinstance(message, Added | Changed | Removed):
                take(self._view, message)
            elif isinstance(message, Ready):
                self._is_ready = True
        if self._is_ready:
            self.shown.append(self._view.number)


def _texts(data: bytes) -> Iterator[str]:
    """Return the texts of unmasked frames."""
    while data:
        size, start = data[1], 2
        if size >= 126:
            form, start = ("!H", 4) if size == 126 else ("!Q", 10)
            [size] = struct.unpack(form, data[2:start])
        yield data[start : start + size].decode()
        data = data[start + size :]


_TOLD: dict[PushTransport, Told] = {}
_SEND: Final = PushTransport.send


def _send(transport: PushTransport, packets: Sequence[bytes]) -> None:
    _TOLD.setdefault(transport, Told()).give(packets)
    _SEND(transport, packets)


@pytest.fixture(autouse=True)
def _watched(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(PushTransport, "send", _send)
    yield
    _TOLD.clear()


class Reader:
    """A client on a socket with hardly any room, which reads as slowly as it likes."""

    def __init__(self, client: RawClient) -> None:
        self._client = client
        self._view = View()

    async def begin(self, url: str) -> None:
        """Subscribe; returns when everything is there."""
        await self._client.connect(url)
        await self._client.send(Connect("1", ("1",)))
        while not isinstance(await self._client.receive(), Connected):
            pass
        await self._client.send(Sub("1", "all"))
        while not isinstance(await self._read(), Ready):
            pass

    async def read(self, observer: Observer, most: int, hurry: asyncio.Event) -> int:
        """Read at most so many messages for each turn, and all in a hurry, until the last document.

        Returns the state that is shown then.
        """
        source = random.Random(1)
        while LAST not in self._view.versions:
            if not hurry.is_set():
                await observer.turns(len(observer.shown) + 1)
            for _ in range(source.randrange(most)):
                await self._read()
                if LAST in self._view.versions:
                    break
        return self._view.number

    async def _read(self) -> object:
        message = await self._client.receive()
        if isinstance(message, Added | Changed | Removed):
            take(self._view, message)
        return message


async def test_nothing_that_is_written_at_once_holds_a_part(
    new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # So that answers end within transactions.
    monkeypatch.setattr(change_stream, "BATCH", SMALL_BATCH)
    url = new_database()
    app = App()
    beds = app.collection(COLLECTION)

    @app.publish("all", public=True)
    async def everything(ctx: Context) -> object:
        return beds.find({}, {"v": 1})

    # Clients that answer no ping, and two that read too little for too long.
    app.settings = Settings(store=url, limits=UNHURRIED, heartbeat_interval_s=3600)
    listener = socket.create_server(("127.0.0.1", 0))
    # What the kernel takes is out of the node's hands; those that are accepted inherit it.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, KERNEL_BYTES)
    server = Server(app.asgi, ws=BolideWebSocket)
    clients = [RawClient() for _ in MOST_MESSAGES]
    async with asyncio.timeout(TIMEOUT_S), truth_of(url, 400) as truth:
        await server.start(listener)
        node = app.asgi.node
        assert node is not None
        observer = Observer()
        query = Query(collection=COLLECTION, projection={"v": 1})
        await node.services.live_queries.follow(query, observer)
        readers = [Reader(client) for client in clients]
        for reader in readers:
            await reader.begin(f"http://127.0.0.1:{listener.getsockname()[1]}")
        hurry = asyncio.Event()
        reading = [
            asyncio.create_task(one.read(observer, most, hurry))
            for one, most in zip(readers, MOST_MESSAGES, strict=True)
        ]
        writers, left, enough = (
            Writers(truth, range(3, 301)),
            iter(range(TRANSACTIONS)),
            asyncio.Event(),
        )

        async def write(source: random.Random) -> None:
            if source.random() < 0.5:
                await writers.anything(source)
            elif next(left, None) is None:
                enough.set()
                await yield_once()
            else:
                await writers.transact(source)

        async with writers.writing(WRITERS, write):
            await enough.wait()
        found = await node.store.read(Query(collection=COLLECTION))
        await node.store.feed_reached(found.position)
        hurry.set()
        await truth.collection.insert_one({"_id": LAST, "ward": 0, "v": 1})
        await truth.complete()
        assert await asyncio.gather(*reading) == [truth.last] * len(readers)
        told = list(_TOLD.values())
        assert len(told) == len(clients)
        for one in told:
            assert truth.fault(one.shown) == ""
            assert one.shown[-1] == truth.last
        assert len(told[0].shown) > len(told[-1].shown)  # who reads more is told more often
        print(f"{truth.count} states, given to clients: {[len(one.shown) for one in told]}")
        for client in clients:
            client.close()
        await server.stop()
