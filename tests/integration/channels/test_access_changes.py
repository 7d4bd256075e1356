"""Permissions that change on one node, while somebody looks on another one."""

from functools import partial

import pytest
from tests.integration.channels.conftest import StartNode

from bolide.core.ddp.messages import Nosub
from bolide.server import AccessRequest, App, Context
from bolide.server.testing import TestClient, TestNode

STORES = pytest.mark.parametrize("new_store", ["sqlite", "mongodb", "redis"], indirect=True)


class Clinic:
    """Nodes that share who may see which ward."""

    def __init__(self, start_node: StartNode) -> None:
        self.grants = {("ann", "7"), ("ben", "7")}
        self._start_node = start_node

    async def start(self) -> tuple[App, TestNode]:
        """Start one more node."""
        app = App()
        app.authorize = self._authorize
        patients = app.collection("patients", access="ward")

        @app.publish("patients")
        async def publish(ctx: Context, ward: str) -> object:
            ctx.require("read", ward)
            return patients.find({})

        @app.method("admit", public=True)
        async def admit(ctx: Context) -> None:
            ctx.require("read", "7")
            await patients.insert_one({"_id": "1", "ward": "7"})

        return app, await self._start_node(app)

    def _authorize(self, request: AccessRequest, /) -> bool:
        return (request.user_id, request.access_scope) in self.grants


def shows(client: TestClient, *ids: str) -> bool:
    return [document["_id"] for document in client.documents("patients")] == [*ids]


@STORES
async def test_what_a_person_lost_goes_on_every_node(start_node: StartNode) -> None:
    clinic = Clinic(start_node)
    (first, here), (_, there) = await clinic.start(), await clinic.start()
    ann, elsewhere, ben = (
        await here.connect(user_id="ann"),
        await there.connect(user_id="ann"),
        await there.connect(user_id="ben"),
    )
    for client in (ann, elsewhere, ben):
        await client.subscribe("patients", "7")
    await ann.call("admit")
    for client in (ann, elsewhere, ben):
        await client.wait_for(partial(shows, client, "1"))
    clinic.grants.discard(("ann", "7"))
    first.access_changed("ann")
    await ann.wait_for(partial(shows, ann))
    await elsewhere.wait_for(partial(shows, elsewhere))
    assert (await elsewhere.received(Nosub)).error is not None
    assert shows(ben, "1")
    clinic.grants.clear()
    first.access_changed()
    await ben.wait_for(partial(shows, ben))
