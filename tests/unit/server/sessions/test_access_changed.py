"""Permissions that change while somebody looks: what is lost goes at once, what is gained comes."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog

from bolide.core.ddp.messages import Added, Changed, Nosub, Ready, Removed, ServerMessage, Unsub
from bolide.core.errors import AuthError, MethodError
from bolide.server import AccessRequest, App, Context, PublicationStrategy
from bolide.server.settings import Settings
from bolide.server.stores.base import Change, ChangeBatch, ChangeKind
from bolide.server.testing import TestClient, TestNode


class Clinic:
    """An app with a collection that has access scopes, and grants that a test changes.

    Attributes:
        grants: ``(user, access scope)``.
        gate: Publications that wait for it.
        runs: How often a publication ran.
    """

    def __init__(self) -> None:
        self.grants = {("ann", "7")}
        self.gate = asyncio.Event()
        self.gate.set()
        self.runs = 0
        self.app = App()
        self.app.authorize = self.authorize
        self.patients = self.app.collection("patients", access="ward")
        self.notes = self.app.collection("notes")
        self.app.publish("ward")(self.ward)
        self.app.publish("mine")(self.mine)
        self.app.publish("hand")(self.by_hand)
        self.app.publish("notes")(self.all_notes)
        self.app.method("swap", public=True)(self.swap)

    def authorize(self, request: AccessRequest, /) -> bool:
        return (request.user_id, request.access_scope) in self.grants

    def grant(self, *wards: str, user: str = "ann") -> None:
        """Let a person have these wards and no others."""
        self.grants = {grant for grant in self.grants if grant[0] != user}
        self.grants |= {(user, ward) for ward in wards}
        self.app.access_changed(user)

    async def ward(self, ctx: Context, ward: str) -> object:
        self.runs += 1
        ctx.require("read", ward)
        await self.gate.wait()
        return self.patients.find({})

    async def mine(self, ctx: Context) -> object:
        self.runs += 1
        for ward in ("7", "8"):
            try:
                ctx.require("read", ward)
            except AuthError:
                continue
        await self.gate.wait()
        return self.patients.find({})

    async def universal(self, ctx: Context) -> object:
        ctx.require("read", "7")
        return self.patients.find({})

    async def by_hand(self, ctx: Context) -> None:
        ctx.require("read", "7")
        async for patient in self.patients.find({}):
            ctx.added("patients", patient["_id"], patient)
        ctx.ready()

    async def all_notes(self, ctx: Context) -> object:
        self.runs += 1
        ctx.require_login()
        return self.notes.find({})

    async def swap(self, ctx: Context) -> None:
        self.grant("8")

    async def fill(self) -> None:
        await self.patients.insert_many(
            [{"_id": "a", "ward": "7"}, {"_id": "b", "ward": "8"}, {"_id": "c", "ward": ["7"]}]
        )

    @asynccontextmanager
    async def opened(self, **settings: Any) -> AsyncGenerator[tuple[TestNode, TestClient]]:
        """Run a node that has the patients, with one client: Ann's."""
        async with TestNode(self.app, settings=Settings(**settings)) as node:
            await self.fill()
            yield node, await node.connect(user_id="ann")

    async def gain_behind_the_gate(self, node: TestNode) -> None:
        """Let Ann gain ward 8 while publications that run again wait for the gate."""
        self.gate.clear()
        self.grant("7", "8")
        await node.settle()


@pytest.fixture
def clinic() -> Clinic:
    return Clinic()


def shown(client: TestClient, collection: str = "patients") -> set[Any]:
    return {document["_id"] for document in client.documents(collection)}


def news(client: TestClient, since: int) -> list[ServerMessage]:
    client.documents("patients")
    return client.messages[since:]


async def test_what_is_lost_goes_in_the_same_turn_and_the_client_is_told(clinic: Clinic) -> None:
    async with clinic.opened() as (node, client):
        subscription = await client.subscribe("ward", "7")
        assert shown(client) == {"a"}
        clinic.grant()
        assert client.socket.driver.session.document_count == 0
        await client.wait_for(lambda: subscription.is_stopped)
        assert subscription.error is not None
        assert subscription.error.error == 403
        assert [type(message) for message in client.messages[-2:]] == [Removed, Nosub]
        assert len(node.node.services.live_queries) == 0


async def test_who_lost_one_ward_keeps_the_others(clinic: Clinic) -> None:
    clinic.grant("7", "8")
    async with clinic.opened() as (node, client):
        subscription = await client.subscribe("mine")
        assert shown(client) == {"a", "b"}
        since = len(client.messages)
        clinic.grant("8")
        await node.settle()
        assert shown(client) == {"b"}
        assert not any(isinstance(message, Ready) for message in news(client, since))
        assert not subscription.is_stopped


async def test_what_is_gained_comes_and_nothing_flickers(clinic: Clinic) -> None:
    async with clinic.opened() as (node, client):
        await client.subscribe("mine")
        since = len(client.messages)
        clinic.grant("7", "8")
        await node.settle()
        assert news(client, since) == [Added("patients", "b", {"ward": "8"})]
        assert clinic.runs == 2
        await client.call("swap")
        await node.settle()
        assert shown(client) == {"b"}


async def test_what_is_gained_during_a_user_change_makes_nothing_flicker(clinic: Clinic) -> None:
    async def login(ctx: Context, user_id: str) -> None:
        await ctx.set_user_id(user_id)

    clinic.app.method("login", public=True)(login)
    async with TestNode(clinic.app) as node:
        await clinic.fill()
        clinic.grant("7", user="bob")
        client = await node.connect(user_id="ann")
        await client.subscribe("mine")
        since = len(client.messages)
        clinic.gate.clear()
        call = asyncio.create_task(client.call("login", "bob"))
        await node.settle()
        clinic.grant("7", "8", user="bob")
        await node.settle()
        assert [m for m in news(client, since) if isinstance(m, Added | Removed)] == []
        clinic.gate.set()
        await call
        await node.settle()
        assert shown(client) == {"a", "b"}
        told = [m.id for m in news(client, since) if isinstance(m, Added | Removed)]
        assert told == ["b"]


async def test_the_old_documents_stay_current_while_the_new_run_is_under_way(
    clinic: Clinic,
) -> None:
    async with clinic.opened() as (node, client):
        await client.subscribe("mine")
        await clinic.gain_behind_the_gate(node)
        since = len(client.messages)
        await clinic.patients.update_one({"_id": "a"}, {"$set": {"bed": 1}})
        await clinic.patients.insert_one({"_id": "d", "ward": "7"})
        await node.settle()
        assert shown(client) == {"a", "d"}
        clinic.gate.set()
        await node.settle()
        kinds = [type(message) for message in news(client, since)]
        assert kinds == [Changed, Added, Added]
        assert shown(client) == {"a", "b", "d"}


async def test_a_loss_during_a_new_run_ends_both(clinic: Clinic) -> None:
    async with clinic.opened() as (node, client):
        await client.subscribe("mine")
        await clinic.gain_behind_the_gate(node)
        clinic.grant("8")
        await node.settle()
        assert shown(client) == set()
        clinic.gate.set()
        await node.settle()
        assert shown(client) == {"b"}
        assert len(node.node.services.live_queries) == 1


async def test_a_loss_before_the_new_run_asked_anything_counts(clinic: Clinic) -> None:
    async with clinic.opened() as (node, client):
        await client.subscribe("mine")
        clinic.grant("7", "8")
        clinic.grant("8")
        assert client.socket.driver.session.document_count == 0
        await node.settle()
        assert shown(client) == {"b"}


async def test_a_second_gain_replaces_the_new_run_and_keeps_the_old_documents(
    clinic: Clinic,
) -> None:
    clinic.grants = {("ann", "8")}

    @clinic.app.publish("three")
    async def three(ctx: Context) -> object:
        for ward in ("7", "8", "9"):
            try:
                ctx.require("read", ward)
            except AuthError:
                continue
        await clinic.gate.wait()
        return clinic.patients.find({})

    async with TestNode(clinic.app) as node:
        await clinic.fill()
        await clinic.patients.insert_one({"_id": "n", "ward": "9"})
        client = await node.connect(user_id="ann")
        subscription = await client.subscribe("three")
        await clinic.gain_behind_the_gate(node)
        clinic.grant("7", "8", "9")
        await node.settle()
        assert shown(client) == {"b"}
        clinic.gate.set()
        await node.settle()
        assert shown(client) == {"a", "b", "n"}
        await subscription.stop()
        assert shown(client) == set()
        assert len(node.node.services.live_queries) == 0


@pytest.mark.parametrize("how", ["unsubscribe", "log in", "leave"])
async def test_what_ends_a_subscription_ends_its_former_run_too(clinic: Clinic, how: str) -> None:
    @clinic.app.method("login", public=True)
    async def login(ctx: Context) -> None:
        await ctx.set_user_id(None)

    async with clinic.opened() as (node, client):
        subscription = await client.subscribe("mine")
        await clinic.gain_behind_the_gate(node)
        match how:
            case "unsubscribe":
                await subscription.stop()
            case "log in":
                clinic.gate.set()
                with pytest.raises(MethodError):
                    await client.call("nothing")
                await client.call("login")
            case _:
                await client.close()
        await node.settle()
        if how != "leave":
            assert shown(client) == set()
        assert client.socket.driver.session.document_count == 0 or how == "leave"
        assert len(node.node.services.live_queries) == 0


async def test_a_former_run_that_fails_leaves_the_new_one_alone(clinic: Clinic) -> None:
    contexts: list[Context] = []

    @clinic.app.publish("failing")
    async def failing(ctx: Context) -> object:
        contexts.append(ctx)
        return await clinic.mine(ctx)

    async with clinic.opened() as (node, client):
        subscription = await client.subscribe("failing")
        await clinic.gain_behind_the_gate(node)
        contexts[0].error(ValueError("Ada"))
        await node.settle()
        assert shown(client) == set()
        assert not subscription.is_stopped
        clinic.gate.set()
        await node.settle()
        assert shown(client) == {"a", "b"}


async def test_only_the_subscriptions_of_that_person_are_asked_again(clinic: Clinic) -> None:
    async with TestNode(clinic.app) as node:
        await clinic.fill()
        clinic.grant("7", user="bob")
        ann, bob = await node.connect(user_id="ann"), await node.connect(user_id="bob")
        await ann.subscribe("ward", "7")
        other = await bob.subscribe("ward", "7")
        clinic.grants = set()
        clinic.app.access_changed("ann")
        await node.settle()
        assert (shown(ann), shown(bob)) == (set(), {"a"})
        clinic.app.access_changed()
        await bob.wait_for(lambda: other.is_stopped)
        assert shown(bob) == set()


async def test_where_no_answer_differs_nothing_runs(clinic: Clinic) -> None:
    async with clinic.opened() as (node, client):
        await client.subscribe("ward", "7")
        await client.subscribe("notes")
        since = len(client.messages)
        clinic.grant("7", "9")
        clinic.app.access_changed()
        await node.settle()
        assert clinic.runs == 2
        assert news(client, since) == []


async def test_what_was_published_by_hand_is_taken_back_too(clinic: Clinic) -> None:
    async with clinic.opened() as (_, client):
        subscription = await client.subscribe("hand")
        assert shown(client) == {"a"}
        clinic.grant()
        await client.wait_for(lambda: subscription.is_stopped)
        assert shown(client) == set()


async def test_a_universal_publication_comes_and_goes_with_its_permission(clinic: Clinic) -> None:
    clinic.app.publish(None)(clinic.universal)
    async with clinic.opened() as (node, client):
        for ward in ("7", "9", "9", "7"):
            clinic.grant(ward)
            await node.settle()
            assert shown(client) == ({"a"} if ward == "7" else set())
        clinic.grant("7", "8")
        await node.settle()
        assert shown(client) == {"a"}


async def test_an_authorize_that_raises_denies_and_is_logged(clinic: Clinic) -> None:
    async with clinic.opened() as (_, client):
        subscription = await client.subscribe("ward", "7")

        def fail(request: AccessRequest, /) -> bool:
            raise KeyError("Ada Lovelace")

        clinic.app.authorize = fail
        with structlog.testing.capture_logs() as records:
            clinic.app.access_changed()
            await client.wait_for(lambda: subscription.is_stopped)
        assert shown(client) == set()
        assert [record["event"] for record in records if record.get("failed_in")] == ["failed"] * 2
        assert "Ada" not in repr(records)


async def test_where_documents_cannot_be_held_twice_they_go_and_come_again(clinic: Clinic) -> None:
    clinic.app.collection("odd", strategy=PublicationStrategy.NO_MERGE)
    async with clinic.opened() as (node, client):
        await client.subscribe("mine")
        since = len(client.messages)
        clinic.grant("7", "8")
        await node.settle()
        assert shown(client) == {"a", "b"}
        assert [type(message) for message in news(client, since)] == [Removed, Added, Added]


async def test_a_new_run_that_hangs_is_ended_like_a_first_one(clinic: Clinic) -> None:
    async with clinic.opened(publication_timeout_s=5) as (node, client):
        subscription = await client.subscribe("mine")
        clinic.gate.clear()
        clinic.grant("7", "8")
        await node.clock.advance(6)
        await client.wait_for(lambda: subscription.is_stopped)
        assert shown(client) == set()


async def test_a_run_that_is_not_ready_yet_starts_again(clinic: Clinic) -> None:
    async with clinic.opened() as (node, client):
        clinic.gate.clear()
        subscription = client.start_subscription("mine")
        await node.settle()
        clinic.grant("7", "8")
        await node.settle()
        clinic.gate.set()
        await client.wait_for(lambda: subscription.is_ready)
        await node.settle()
        assert shown(client) == {"a", "b"}
        assert sum(isinstance(message, Ready) for message in client.messages) == 1


async def test_an_unsub_that_waited_for_the_first_run_ends_the_new_one(clinic: Clinic) -> None:
    async with clinic.opened() as (node, client):
        clinic.gate.clear()
        subscription = client.start_subscription("mine")
        client.send(Unsub(subscription.id))
        await node.settle()
        assert not subscription.is_stopped
        clinic.grant()
        await client.wait_for(lambda: subscription.is_stopped)
        await node.settle()
        assert subscription.error is None
        assert clinic.runs == 1
        assert client.socket.driver.session.subscriptions.running() == []
        assert node.node.metrics.registry.get_sample_value("bolide_subscriptions") == 0


async def test_a_session_that_is_gone_is_not_asked(clinic: Clinic) -> None:
    async with TestNode(clinic.app) as node:
        client = await node.connect(user_id="ann")
        driver = client.socket.driver
        await client.subscribe("ward", "7")
        await client.close()
        clinic.grants = set()
        driver.access_changed("ann")
        await node.settle()
        assert clinic.runs == 1


async def test_a_stopped_node_is_told_nothing(clinic: Clinic) -> None:
    async with TestNode(clinic.app):
        pass
    clinic.app.access_changed()


async def test_a_test_can_wait_for_publications_that_run_again(clinic: Clinic) -> None:
    async with clinic.opened() as (node, client):
        await client.subscribe("mine")
        clinic.gate.clear()
        clinic.grant("7", "8")
        client.start_subscription("ward", "8")
        waiting = asyncio.ensure_future(client.published())
        await node.settle()
        assert not waiting.done()
        clinic.gate.set()
        await waiting
        await node.settle()
        assert shown(client) == {"a", "b"}


def tell_unsendable(node: TestNode) -> None:
    """Let live queries learn of a patient of ward 7 whom no message can carry."""
    # Positions of the memory store are numbers.
    last: Any = node.node.store.feed_position
    position: Any = last + 1
    patient = {"_id": "z", "ward": "7", "name": "\ud800"}
    change = Change(position, "patients", "z", ChangeKind.INSERT, None, patient)
    node.node.services.live_queries.changes_received(ChangeBatch(position, [change]))


async def test_what_fails_while_it_is_taken_back_ends_and_is_not_run_again(clinic: Clinic) -> None:
    clinic.app.publish(None)(clinic.universal)
    async with clinic.opened() as (node, client):
        subscription = await client.subscribe("ward", "7")
        runs = clinic.runs
        tell_unsendable(node)
        clinic.grant()
        assert client.socket.driver.session.subscriptions.running() == []
        await node.settle()
        assert shown(client) == set()
        assert subscription.is_stopped
        assert clinic.runs == runs
        assert client.close_reason is None


async def test_a_session_that_fails_is_closed_and_the_others_are_asked(clinic: Clinic) -> None:
    async with TestNode(clinic.app) as node:
        await clinic.fill()
        clients = [await node.connect(user_id="ann") for _ in range(2)]
        for client in clients:
            await client.subscribe("ward", "7")
        # A session that is half dead.
        driver = clients[0].socket.driver
        (subscription,) = driver.session.subscriptions.running()
        run = driver.runs.get(subscription)
        assert run is not None
        run.decisions = None  # type: ignore[assignment]
        clinic.grant()
        await node.settle()
        assert [client.close_reason for client in clients] == [
            "The server failed; connect again",
            None,
        ]
        assert shown(clients[1]) == set()
