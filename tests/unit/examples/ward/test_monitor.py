"""Monitor: every patient's signs reach the node, and its hiccups do not end it."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from bolide.client import Client, Query, connect
from bolide.core.errors import MethodError
from bolide.core.values import Document
from bolide.ops.node.listener import bind, url_of
from bolide.ops.node.node_service import node_running
from bolide.server import Settings
from ward import monitor as monitor_module
from ward.app import app
from ward.monitor import Gateway, main, monitor
from ward.physiology import VitalSigns
from ward.seed import PATIENTS


@pytest.fixture
async def url() -> AsyncIterator[str]:
    listener = bind("127.0.0.1", 0)
    async with node_running(app, Settings(store="memory:"), listener):
        yield url_of(listener)


@pytest.fixture
async def client(url: str) -> AsyncIterator[Client]:
    async with connect(url) as client:
        await client.subscribe("ward.board", "7")
        yield client


async def test_signs_of_all_patients_are_sent(client: Client) -> None:
    await Gateway(client).send(1.0)
    vitals = client.collection("vitals").find().fetch()
    assert len(vitals) == len(PATIENTS)
    assert len({document["heart_rate"] for document in vitals}) > 1


async def test_equal_seeds_make_equal_patients(client: Client) -> None:
    vitals = client.collection("vitals")
    await Gateway(client, seed=1).send(1.0)
    first = vitals.find(sort=[("_id", 1)]).fetch()
    await Gateway(client, seed=2).send(1.0)
    assert vitals.find(sort=[("_id", 1)]).fetch() != first
    await Gateway(client, seed=1).send(1.0)
    assert vitals.find(sort=[("_id", 1)]).fetch() == first


async def test_patient_who_has_left_stops_nobody(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway = Gateway(client)
    known = client.collection("patients").find().fetch()

    def with_ghost(_query: Query) -> list[Document]:
        return [*known, {"_id": "p99"}]

    with monkeypatch.context() as patch:
        patch.setattr(Query, "fetch", with_ghost)
        await gateway.send(1.0)
    assert client.collection("vitals").find().count() == len(PATIENTS)


async def test_refusal_of_the_signs_ends_the_gateway(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing(_signs: VitalSigns) -> dict[str, float]:
        return {}

    monkeypatch.setattr(monitor_module, "asdict", nothing)
    with pytest.raises(ExceptionGroup) as caught:
        await Gateway(client).send(1.0)
    assert caught.group_contains(MethodError)


async def test_monitor_sends_until_cancelled(url: str, client: Client) -> None:
    running = asyncio.create_task(monitor(url, interval_s=0.25))
    shown = set[int]()
    async with (
        asyncio.timeout(20),
        aclosing(client.collection("vitals").find("p01").results()) as results,
    ):
        async for documents in results:
            shown |= {document["heart_rate"] for document in documents}
            if len(shown) > 2:
                break
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_command_line_is_read_and_ctrl_c_ends_in_good_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given: list[object] = []

    async def run(url: str, *, ward: str, interval_s: float) -> None:
        given.extend([url, ward, interval_s])
        os.kill(os.getpid(), signal.SIGINT)
        await asyncio.sleep(20)

    monkeypatch.setattr(monitor_module, "monitor", run)
    monkeypatch.setattr(sys, "argv", ["monitor", "http://x", "--interval", "0.5"])
    main()
    assert given == ["http://x", "7", 0.5]
