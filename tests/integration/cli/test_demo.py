"""``bolide demo``: a ward that lives, and ends in good time."""

import asyncio
import os
import re
import signal
import ssl
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
from pymongo.uri_parser import parse_uri
from tests.integration.cli.conftest import TIMEOUT_S, Start
from tests.replica_set import ReplicaSet

from bolide.ops.node.listener import bind

EXAMPLES = Path(__file__).parents[3] / "examples"
_BOARD = r"(?m)^Ward board: (https://localhost:\d+/)$"


async def test_demo_serves_a_board_behind_a_balancer_and_tells_of_beds(
    bolide: Start, tmp_path: Path
) -> None:
    with closing(bind("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        demo = await bolide("demo", "--port", str(port), "--store", str(tmp_path))
        url = (await demo.said(_BOARD))[1]
    assert int(url.rstrip("/").rpartition(":")[2]) > port
    await demo.said(r"(?m)^Bed 1: Ada Bergström  heart \d+/min .* score \d+$")
    tls = ssl.create_default_context(cafile=tmp_path / ".bolide" / "browsers" / "ca.pem")
    async with httpx.AsyncClient(verify=tls, trust_env=False) as client:
        page = await client.get(url)
    assert "<title>Ward 7</title>" in page.text
    assert demo.err == ""
    pid = int((await demo.said(r"node1 is process (\d+)"))[1])
    os.kill(pid, signal.SIGKILL)
    await demo.said("node1 was ended by SIGKILL; it is started again", stream="err")
    said = len(demo.out)
    async with asyncio.timeout(TIMEOUT_S):
        while not re.search(r"(?m)^Bed 1: ", demo.out[said:]):
            await demo.more()
    demo.send(signal.SIGTERM)
    begin = monotonic()
    assert await demo.status() == 0
    assert monotonic() - begin < 2 * TIMEOUT_S / 30 + 5
    assert (tmp_path / "ward.db").exists()


async def test_demo_runs_unchanged_on_mongodb_and_finds_its_ward_again(
    bolide: Start, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOLIDE_STORE", new_database())
    for _ in range(2):
        demo = await bolide("demo", "--port", "0")
        await demo.said(_BOARD)
        await demo.said(r"(?m)^Bed 1: Ada Bergström  heart \d+/min .* score \d+$")
        demo.send(signal.SIGTERM)
        assert await demo.status() == 0
        assert demo.err == ""


async def test_demo_shows_the_ward_in_a_terminal(bolide: Start) -> None:
    demo = await bolide("demo", "--port", "0", terminal=True)
    await demo.said(r"Bed 1 [\s\S]*Ada Bergström +\d+[\s\S]*Bed 12 +.*free")
    demo.send(signal.SIGINT)
    assert await demo.status() == 0
    assert "Traceback" not in demo.out


async def test_a_node_furnishes_the_ward_although_another_one_does_so_too(
    bolide: Start, replica_set: ReplicaSet, new_database: Callable[[], str]
) -> None:
    url = new_database()
    run = ("run", "--app-dir", str(EXAMPLES), "ward.app:app", "--port", "0", "--store", url)
    first = await bolide(*run)
    await first.url()
    first.send(signal.SIGTERM)
    assert await first.status() == 0

    def aborted() -> int:
        status: dict[str, Any] = client.admin.command("serverStatus")
        return int(status["transactions"]["totalAborted"])

    with replica_set.client() as client, client.start_session() as session:
        beds = client[parse_uri(url)["database"]]["beds"]
        beds.delete_one({"_id": "7-01"})
        session.start_transaction()
        beds.insert_one({"_id": "7-01", "label": "Bed 1", "ward": "7"}, session=session)
        before = aborted()
        second = await bolide(*run)
        async with asyncio.timeout(TIMEOUT_S):
            while await asyncio.to_thread(aborted) == before:
                assert second.process.returncode is None, second.err
        session.abort_transaction()
        await second.url()
        assert beds.count_documents({}) == 12
