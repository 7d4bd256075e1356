"""Changing the arguments of a subscription, against a server that is played."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from tests.unit.client.conftest import FakeServer, Peer

from bolide.client import Backoff, Client, ClientLimits, Subscription, connect
from bolide.core.errors import EJSONError, MethodError, SessionBusy, SessionClosed

SOON = Backoff(eager_delay_s=0.0, base_s=0.0)


class Ward:
    """A client with one subscription, which shows the document ``a``."""

    def __init__(self, client: Client, peer: Peer, subscription: Subscription, id: str) -> None:
        self.client = client
        self.peer = peer
        self.subscription = subscription
        self.id = id

    def change(self, ward: str) -> "asyncio.Task[bool]":
        return asyncio.create_task(self.subscription.change(ward))

    async def take_back(self, subscription_id: str, document_id: str) -> None:
        """Answer the next ``unsub``, which must be of this subscription."""
        assert (await self.peer.receive("unsub"))["id"] == subscription_id
        await self.peer.send(msg="removed", collection="p", id=document_id)
        await self.peer.send(msg="nosub", id=subscription_id)

    def shown(self) -> list[str]:
        return [document["_id"] for document in self.client.collection("p").find().fetch()]


@pytest_asyncio.fixture
async def ward(server: FakeServer) -> AsyncIterator[Ward]:
    limits = ClientLimits(max_subscriptions=3)
    async with connect(server.url, wait=False, backoff=SOON, limits=limits) as client:
        peer = await server.accepted()
        subscribing = asyncio.create_task(client.subscribe("ward", "a"))
        subscription_id = await peer.answer_sub("a")
        yield Ward(client, peer, await subscribing, subscription_id)


async def test_old_documents_stay_until_the_new_ones_are_there(ward: Ward) -> None:
    changes = ward.client.collection("p").find().results()
    assert len(await anext(changes)) == 1
    changing = ward.change("b")
    message = await ward.peer.receive("sub")
    assert message["params"] == ["b"]
    assert ward.shown() == ["a"]
    await ward.peer.added("b", n=1)
    await ward.peer.send(msg="ready", subs=[message["id"]])
    await ward.take_back(ward.id, "a")
    assert await changing is True
    assert ward.shown() == ["b"]
    assert ward.subscription.args == ("b",)
    assert ward.subscription.is_active
    async for documents in changes:
        assert documents
        if [document["_id"] for document in documents] == ["b"]:
            break
    await changes.aclose()


async def test_refused_arguments_leave_the_old_ones(ward: Ward) -> None:
    changing = ward.change("b")
    message = await ward.peer.receive("sub")
    await ward.peer.send(msg="nosub", id=message["id"], error={"error": 403})
    with pytest.raises(MethodError):
        await changing
    assert ward.subscription.args == ("a",)
    assert ward.subscription.is_active
    assert ward.shown() == ["a"]


async def test_of_several_changes_the_last_wins(ward: Ward) -> None:
    first = ward.change("b")
    first_id = (await ward.peer.receive("sub"))["id"]
    second = ward.change("c")
    last_id = (await ward.peer.receive("sub"))["id"]
    assert await first is False
    assert (await ward.peer.receive("unsub"))["id"] == first_id
    await ward.peer.added("c", n=1)
    await ward.peer.send(msg="ready", subs=[last_id])
    await ward.take_back(ward.id, "a")
    assert await second is True
    assert ward.subscription.args == ("c",)


async def test_going_back_to_the_old_arguments_undoes_a_change(ward: Ward) -> None:
    first = ward.change("b")
    first_id = (await ward.peer.receive("sub"))["id"]
    assert await ward.subscription.change("a") is True
    assert await first is False
    assert (await ward.peer.receive("unsub"))["id"] == first_id
    assert ward.subscription.is_active
    assert ward.subscription.args == ("a",)


async def test_change_keeps_what_another_holder_wants(ward: Ward) -> None:
    other = await ward.client.subscribe("ward", "a")
    changing = ward.change("b")
    new_id = await ward.peer.answer_sub("b")
    assert await changing is True
    assert other.is_active
    assert sorted(ward.shown()) == ["a", "b"]
    changing = ward.change("a")
    await ward.take_back(new_id, "b")
    assert await changing is True
    await other.stop()
    assert ward.subscription.is_active


async def test_stopping_ends_a_change(ward: Ward) -> None:
    changing = ward.change("b")
    new_id = (await ward.peer.receive("sub"))["id"]
    stopping = asyncio.create_task(ward.subscription.stop())
    assert (await ward.peer.receive("unsub"))["id"] == new_id
    await ward.take_back(ward.id, "a")
    await stopping
    assert await changing is False
    with pytest.raises(SessionClosed):
        await ward.subscription.change("c")


async def test_cancelled_change_leaves_the_old_arguments(ward: Ward) -> None:
    changing = ward.change("b")
    new_id = (await ward.peer.receive("sub"))["id"]
    changing.cancel()
    assert (await ward.peer.receive("unsub"))["id"] == new_id
    assert ward.subscription.args == ("a",)
    assert ward.subscription.is_active


async def test_subscription_that_the_server_ends_meanwhile_stays_ended(ward: Ward) -> None:
    changing = ward.change("b")
    new_id = (await ward.peer.receive("sub"))["id"]
    await ward.peer.send(msg="nosub", id=ward.id, error={"error": "closed"})
    await ward.peer.send(msg="ready", subs=[new_id])
    assert await changing is False
    error = await ward.subscription.wait_ended()
    assert isinstance(error, MethodError)
    assert (await ward.peer.receive("unsub"))["id"] == new_id


async def test_change_that_cannot_be_asked_for_leaves_the_old_arguments(ward: Ward) -> None:
    with pytest.raises(EJSONError):
        await ward.subscription.change(object())
    for name in "xy":
        asyncio.create_task(ward.client.subscribe(name))  # noqa: RUF006
        await ward.peer.answer_sub()
    with pytest.raises(SessionBusy):
        await ward.subscription.change("b")
    assert ward.subscription.is_active


async def test_change_survives_a_lost_connection(server: FakeServer, ward: Ward) -> None:
    changing = ward.change("b")
    await ward.peer.receive("sub")
    await ward.peer.drop()
    peer = ward.peer = await server.accepted()
    assert await peer.answer_sub("a") == ward.id
    await peer.answer_sub("b")
    await ward.take_back(ward.id, "a")
    assert await changing is True
    assert ward.shown() == ["b"]
