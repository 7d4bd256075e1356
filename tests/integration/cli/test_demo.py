"""``bolide demo``: a ward that lives, and ends in good time."""

import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic

import httpx
import pytest
from tests.integration.cli.conftest import TIMEOUT_S, Start


async def test_demo_serves_a_board_and_tells_of_beds(bolide: Start, tmp_path: Path) -> None:
    demo = await bolide("demo", "--port", "0", "--store", str(tmp_path))
    await demo.said(r"(?m)^Ward board: http://127\.0\.0\.1:\d+/$")
    await demo.said(r"(?m)^Bed 1: Ada Bergström  heart \d+/min .* score \d+$")
    async with httpx.AsyncClient(trust_env=False) as client:
        page = await client.get(await demo.url())
    assert "<title>Ward 7</title>" in page.text
    demo.send(signal.SIGTERM)
    begin = monotonic()
    assert await demo.status() == 0
    assert monotonic() - begin < 2 * TIMEOUT_S / 30
    assert (tmp_path / "ward.db").exists()
    assert demo.err == ""


async def test_demo_runs_unchanged_on_mongodb_and_finds_its_ward_again(
    bolide: Start, new_database: Callable[[], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BOLIDE_STORE", new_database())
    for _ in range(2):
        demo = await bolide("demo", "--port", "0")
        await demo.said(r"(?m)^Ward board: http://127\.0\.0\.1:\d+/$")
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
