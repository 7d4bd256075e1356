"""``bolide run``: a node as an operator starts it and stops it."""

import json
import signal
from pathlib import Path

import httpx
import pytest
from tests.certificates import Authority
from tests.integration.cli.conftest import Start
from websockets.asyncio.client import connect

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


async def test_node_with_a_certificate_serves_nothing_without_tls(
    bolide: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    files = authority.issue()
    write_app(tmp_path, "1")
    node = await bolide(
        "run", "served:app", "--port", "0", "--store", "memory:",
        "--tls-cert", files.cert, "--tls-key", files.key,
    )  # fmt: skip
    await node.said("Not for real PHI yet")
    url = await node.url()
    assert url.startswith("https://")
    assert "plain HTTP" not in node.out
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.file()))
    call = await bolide("call", url, "version")
    assert await call.status() == 0
    trusting = authority.client_context()
    async with httpx.AsyncClient(trust_env=False, verify=trusting) as client:
        for origin, status in ((url, 200), ("https://evil.example", 403)):
            answer = await client.get(f"{url}/sockjs/info", headers={"origin": origin})
            assert answer.status_code == status
        assert (await client.get(url.replace("https", "http"))).status_code == 400
    async with connect(url.replace("https", "wss") + "/websocket", ssl=trusting) as websocket:
        await websocket.send('{"msg": "connect", "version": "1", "support": ["1"]}')
        assert "connected" in str(await websocket.recv())
        # Much, in both directions: TLS records end elsewhere than frames do.
        await websocket.send(json.dumps({"msg": "x" * 2_000_000}))
        assert "Message too large" in str(await websocket.recv())
    node.send(signal.SIGTERM)
    assert await node.status() == 0
    assert all(json.loads(line)["level"] for line in node.err.splitlines())


async def test_wrong_key_is_told_in_one_line(bolide: Start, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    write_app(tmp_path, "1")
    words = ("--tls-cert", authority.issue().cert, "--tls-key", authority.issue().key)
    node = await bolide("run", "served:app", "--port", "0", *words)
    assert await node.status() == 2
    await node.said("must be the key of the certificate in tls_cert.$", stream="err")
    assert node.err.startswith("bolide: tls_key is ")
    assert len(node.err.splitlines()) == 1


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
