"""What it costs when many clients come back at once, counted in bytes."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from typing import Any

import pytest

from bolide.client.ddp.resync import ask_for_resync, chunks_of_digests
from bolide.core.ddp.codec import parse_server_message, serialize
from bolide.core.ddp.digests import document_digest
from bolide.core.ddp.messages import Added, ClientMessage, Connect, Connected, Ready, Sub, Want
from bolide.core.values import Document
from bolide.server import App, Collection, Context
from bolide.server.testing import TestNode

CLIENTS = 1_000
WARDS = 20
DOCUMENTS = 50
CHUNK_BYTES = 100_000  # all digests of a collection in one message


@dataclass
class Ward:
    """A node with patients in wards."""

    node: TestNode
    patients: Collection

    async def held_by(self, ward: int) -> dict[str, Document]:
        """Return what a client of a ward shows: id on the wire and fields."""
        found = await self.patients.find({"ward": ward}).to_list()
        return {
            document["_id"]: {name: value for name, value in document.items() if name != "_id"}
            for document in found
        }


@pytest.fixture
async def ward() -> AsyncGenerator[Ward]:
    app = App()
    patients = app.collection("patients")

    @app.publish("patients.ofWard", public=True)
    async def of_ward(ctx: Context, ward: int) -> object:
        return patients.find({"ward": ward})

    async with TestNode(app) as node:
        await patients.insert_many(
            [
                {"_id": f"patient{w:02}{n:08}", "ward": w, "name": "Ada", "notes": "x" * 100}
                for w in range(WARDS)
                for n in range(DOCUMENTS)
            ]
        )
        yield Ward(node, patients)


@dataclass
class Returning:
    """A client that shows documents of a former session and says so, as the SDK does.

    Attributes:
        payload: Bytes of all messages but ``connect``, ``connected``, ``sub`` and ``ready``.
        added: The documents that it was sent.
    """

    ward: int
    digests: dict[str, bytes]
    payload: int = 0
    added: list[tuple[Added, int]] = field(default_factory=list[tuple[Added, int]])
    is_ready: bool = False

    def come_back(self, node: TestNode) -> None:
        self._socket = node.open_socket()
        self._send(Connect("1", ("1",), bolide={"resync": True}))
        self._send(Sub("1", "patients.ofWard", (self.ward,)))
        self._send(ask_for_resync(("1",), {"patients": self.digests}))

    def answer(self) -> bool:
        """Take what came, and answer it; tells whether there was something to answer."""
        frames, self._socket.frames[:] = list(self._socket.frames), []
        wanted: tuple[str, ...] = ()
        for frame in frames:
            message = parse_server_message(frame)
            size = len(frame.encode())
            if not isinstance(message, Connected | Ready):
                self.payload += size
            match message:
                case Connected():
                    pass
                case Ready():
                    self.is_ready = True
                case Want(views):
                    wanted = tuple(views)
                case Added():
                    self.added.append((message, size))
                case _:
                    raise AssertionError(message)
        for have in chunks_of_digests(wanted, {"patients": self.digests}, CHUNK_BYTES):
            self._send(have)
        return bool(wanted)

    def _send(self, message: ClientMessage) -> None:
        frame = serialize(message, bolide=True)
        if not isinstance(message, Connect | Sub):
            self.payload += len(frame.encode())
        self._socket.send_frame(frame)


async def come_back(ward: Ward, held: list[dict[str, Document]]) -> list[Returning]:
    """Let all clients come back at once, and wait until each has what it lacks."""
    digests = [{id: document_digest(fields) for id, fields in view.items()} for view in held]
    clients = [Returning(n % WARDS, digests[n % WARDS]) for n in range(CLIENTS)]
    for client in clients:
        client.come_back(ward.node)
    await ward.node.settle()
    while any([client.answer() for client in clients]):
        await ward.node.settle()
    assert all(client.is_ready for client in clients)
    return clients


async def test_1000_clients_with_unchanged_documents_cost_200_bytes_each(ward: Ward) -> None:
    held = [await ward.held_by(number) for number in range(WARDS)]
    clients = await come_back(ward, held)
    print(f"{max(client.payload for client in clients)} bytes")
    assert all(client.payload <= 200 for client in clients)
    assert not any(client.added for client in clients)


async def test_one_changed_document_costs_itself_and_the_digests_of_its_collection(
    ward: Ward,
) -> None:
    held = [await ward.held_by(number) for number in range(WARDS)]
    changed: Any = await ward.patients.find_one({"ward": 3})
    await ward.patients.update_one({"_id": changed["_id"]}, {"$set": {"name": "Grace"}})
    clients = await come_back(ward, held)
    for client in clients:
        if client.ward != 3:
            assert client.payload <= 200
            continue
        [(message, size)] = client.added
        assert message.replace
        assert message.id == changed["_id"]
        assert message.fields["name"] == "Grace"
        # Two quotes, a colon, a comma and the digest in quotes for each document.
        digests = sum(len(id) + 4 + 24 for id in client.digests)
        assert client.payload <= 200 + digests + size + len('{"msg":"bolide.resync","have":{}}')
