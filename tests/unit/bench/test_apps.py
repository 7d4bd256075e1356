import json
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager

import pytest

from bench.apps import fanout, methods, shared
from bench.rig.load import CONNECT, REQUEST, TRIGGER
from bolide.server import App
from bolide.server.testing import TestNode, TestSocket


@asynccontextmanager
async def _session(app: App) -> AsyncGenerator[tuple[TestSocket, Callable[[str], Sequence[str]]]]:
    """Connect as the load generator does; give the socket, and what came of one kind."""
    async with TestNode(app) as node:
        socket = node.open_socket()

        def of_kind(kind: str) -> Sequence[str]:
            return [frame for frame in socket.frames if json.loads(frame)["msg"] == kind]

        socket.send_frame(CONNECT)
        await node.settle()
        assert of_kind("connected")
        yield socket, of_kind


async def _answered(socket: TestSocket, of_kind: Callable[[str], Sequence[str]]) -> None:
    while not of_kind("updated"):
        await socket.news()


@pytest.mark.parametrize("together", [1, 4])
async def test_changes_have_the_size_of_the_peers_and_come_together(together: int) -> None:
    async with _session(fanout.app) as (socket, of_kind):
        writes: list[int] = []
        socket.on_frames = lambda frames: writes.append(
            sum(json.loads(frame)["msg"] == "changed" for frame in frames)
        )
        socket.send_frame((TRIGGER % together).replace("%ld", "8"))
        await _answered(socket, of_kind)
        assert [len(frame) for frame in of_kind("changed")] == [fanout.MESSAGE_BYTES] * 8
        assert [changes for changes in writes if changes] == [together] * (8 // together)


async def test_the_request_is_answered_and_its_result_is_the_longer_frame() -> None:
    async with _session(methods.app) as (socket, of_kind):
        socket.send_frame(REQUEST)
        await _answered(socket, of_kind)
        [result], [updated] = of_kind("result"), of_kind("updated")
        assert json.loads(result)["result"] == "Xyz12345678901234"
        assert len(updated) < 50 <= len(result)


async def test_the_arguments_of_the_request_are_checked() -> None:
    async with _session(methods.app) as (socket, of_kind):
        socket.send_frame(REQUEST.replace('"n":1', '"n":"1"'))
        await _answered(socket, of_kind)
        assert json.loads(of_kind("result")[0])["error"]["error"] == 400


async def test_the_shared_publication_holds_fifty_documents_of_about_300_bytes() -> None:
    async with TestNode(shared.app) as node:
        client = await node.connect()
        await client.subscribe("ward", "7")
        documents = client.documents("patients")
        assert len(documents) == shared.DOCUMENTS == 50
        sizes = [len(json.dumps(document)) for document in documents]
        assert min(sizes) > 270
        assert max(sizes) < 330
