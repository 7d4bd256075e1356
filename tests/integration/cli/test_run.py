"""``bolide run``: a node as an operator starts it and stops it."""

import json
import signal
from pathlib import Path

import httpx
import pytest
from tests.integration.cli.conftest import Start

APP = """
from bolide.server import App, Context

app = App()

@app.method("version", public=True)
async def version(ctx: Context) -> str:
    return "{version}"
"""


def write_app(folder: Path, version: str) -> None:
    (folder / "served.py").write_text(APP.replace("{version}", version))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_signal_ends_a_node_with_0(
    bolide: Start, tmp_path: Path, number: signal.Signals
) -> None:
    write_app(tmp_path, "1")
    node = await bolide("run", "served:app", "--port", "0", "--management-port", "0")
    await node.said("Not for real PHI yet")
    call = await bolide("call", await node.url(), "version")
    assert await call.status() == 0
    assert call.out == '"1"\n'
    health = (await node.said(r"http\S+readyz"))[0]
    async with httpx.AsyncClient(trust_env=False) as client:
        assert (await client.get(health)).json()["ready"] is True
    node.send(number)
    assert await node.status() == 0
    assert (tmp_path / "bolide.db").exists()
    assert all(json.loads(line)["level"] for line in node.err.splitlines())


async def test_page_of_another_origin_is_refused(bolide: Start, tmp_path: Path) -> None:
    write_app(tmp_path, "1")
    node = await bolide("run", "served:app", "--port", "0", "--store", "memory:")
    url = await node.url()
    async with httpx.AsyncClient(trust_env=False) as client:
        foreign = await client.get(f"{url}/sockjs/info", headers={"origin": "https://evil.example"})
        assert foreign.status_code == 403
        assert (await client.get(f"{url}/sockjs/info")).status_code == 200


async def test_reload_serves_the_changed_app(bolide: Start, tmp_path: Path) -> None:
    write_app(tmp_path, "1")
    node = await bolide("run", "served:app", "--port", "0", "--store", "memory:", "--reload")
    await node.said("Not for real PHI")
    node.out = ""
    write_app(tmp_path, "2")
    await node.said("Changed: starting anew")
    call = await bolide("call", await node.url(), "version")
    assert await call.status() == 0
    assert call.out == '"2"\n'
    node.out = ""
    (tmp_path / "served.py").write_text("1 / 0\n")
    await node.said("ZeroDivisionError: division by zero .served.py, line 1", stream="err")
    await node.said("ended with status 2; waiting for a change")
    write_app(tmp_path, "3")
    await node.said("Not for real PHI")
    node.send(signal.SIGINT)
    assert await node.status() == 0
