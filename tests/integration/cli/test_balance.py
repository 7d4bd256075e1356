"""A balancer of the command, two nodes of the command, and a client that notices nothing."""

import asyncio
import json
import secrets
import signal
from pathlib import Path

import pytest
from tests.certificates import Authority
from tests.cluster_certificates import CLIENT, SERVER, CertificateAuthority
from tests.integration.cli.conftest import Command, Start

from bolide.client import connect
from bolide.ops.balancer.management import ask

APP = """
from bolide.server import App, Context

app = App()
beds = app.collection("beds")


@app.publish("beds", public=True)
async def all_beds(ctx: Context):
    return beds.find({})


@app.method("make", public=True)
async def make(ctx: Context, name: str) -> None:
    await beds.insert_one({"_id": name})
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write an app, certificates, and the settings of a balancer with a node that is dead."""
    (tmp_path / "served.py").write_text(APP)
    authority = CertificateAuthority(tmp_path)
    front = authority.issue("bolide://ward/balancer/front", purposes=[CLIENT])
    public = tmp_path / "public"
    public.mkdir()
    browsers = Authority(public)
    web = browsers.issue("localhost", "127.0.0.1")
    monkeypatch.setenv("SSL_CERT_FILE", str(browsers.file()))
    for name in ("north", "south"):
        folder = tmp_path / name
        folder.mkdir()
        own = authority.issue(f"bolide://ward/node/{name}", purposes=[SERVER])
        (folder / "bolide.toml").write_text(
            f'store = "sqlite:///{tmp_path}/ward.db"\nport = 0\nmanagement_port = 0\n'
            f'cluster = "ward"\ntls_cert = "{own.chain}"\n'
            f'tls_key = "{own.key}"\ntls_client_ca = "{authority.pem}"\n'
        )
    key = tmp_path / "affinity.key"
    key.touch(0o600)
    key.write_text(secrets.token_hex(32))
    file = tmp_path / "balancer.toml"
    file.write_text(
        'cluster = "ward"\nlisten = ["127.0.0.1:0"]\nmanagement = "run/management.sock"\n'
        f'workers = 1\naccess_log = "access.log"\n[[certificate]]\nchain = "{web.cert}"\n'
        f'key = "{web.key}"\n[affinity]\nkeys = ["affinity.key"]\n[nodes.tls]\n'
        f'ca = "{authority.pem}"\nchain = "{front.chain}"\nkey = "{front.key}"\n'
        '[[nodes.static]]\nname = "dead"\naddress = "127.0.0.1:1"\nmanagement = "127.0.0.1:1"\n'
    )
    return file


@pytest.fixture
def slip(tmp_path: Path) -> Path:
    file = tmp_path / "slip.toml"
    file.write_text("clutser = 'ward'\n")
    return file


async def start_node(bolide: Start, settings: Path, name: str, url: str) -> Command:
    """Start a node, and write where it is into the settings of the balancer."""
    folder = settings.parent / name
    with (folder / "bolide.toml").open("a") as file:
        file.write(f'public_url = "{url}"\n')
    command = await bolide("run", "served:app", "--app-dir", "..", folder=folder)
    port = (await command.said(r"served:app at https://127\.0\.0\.1:(\d+)/"))[1]
    management = (await command.said(r"metrics: https://[^:]+:(\d+)/"))[1]
    with settings.open("a") as file:
        file.write(
            f'[[nodes.static]]\nname = "{name}"\naddress = "127.0.0.1:{port}"\n'
            f'management = "127.0.0.1:{management}"\n'
        )
    return command


async def nodes_of(settings: Path) -> dict[str, dict[str, object]]:
    socket = settings.parent / "run" / "management.sock"
    answer = await asyncio.to_thread(ask, socket, "/nodes")
    return {row["name"]: row for row in answer["nodes"]}


async def node_of_the_client(settings: Path) -> str:
    """Wait until the workers have told who carries the one client there is."""
    async with asyncio.timeout(30):
        while True:
            for name, row in (await nodes_of(settings)).items():
                if row["connections"]:
                    return name


async def test_a_client_goes_to_the_other_node_when_its_own_is_drained(
    bolide: Start, settings: Path
) -> None:
    balancer = await bolide("balance", "balancer.toml")
    port = (await balancer.said(r"balances at 127\.0\.0\.1:(\d+) with 1 worker"))[1]
    url = f"https://localhost:{port}"
    for name in ("north", "south"):
        await start_node(bolide, settings, name, url)
    check = await bolide("balance", "--check", "balancer.toml")
    assert await check.status() == 0
    await check.said("nodes        dead, north, south")
    balancer.send(signal.SIGHUP)
    await balancer.said("node north: up", stream="err")
    await balancer.said("node south: up", stream="err")

    async with connect(url) as client:
        beds = client.collection("beds")
        await client.subscribe("beds")
        await client.call("make", "a")
        assert [bed["_id"] for bed in beds.find().fetch()] == ["a"]
        own = await node_of_the_client(settings)
        drain = await bolide("drain", own, "--within", "0", "--config", "balancer.toml")
        assert await drain.status() == 0
        await drain.said("It sends its clients elsewhere within 0 s")
        async with asyncio.timeout(30):
            while (await nodes_of(settings))[own]["connections"]:
                pass
        await client.call("make", "b")
        assert [bed["_id"] for bed in beds.find(sort=[("_id", 1)]).fetch()] == ["a", "b"]
    assert (await nodes_of(settings))[own]["state"] == "draining"

    await see_it_from_outside(bolide, own)
    (left,) = {"north", "south"} - {own}
    refused = await bolide("drain", left, "--config", "balancer.toml")
    assert await refused.status() == 1
    await refused.said(f"{left} is the only node that gets new sessions", stream="err")
    words = ("drain", left, "--force", "--within", "0", "--config", "balancer.toml")
    assert await (await bolide(*words)).status() == 0
    long = await bolide("drain", left, "--within", "3601", "--config", "balancer.toml")
    assert await long.status() == 2
    await long.said("less than or equal to 3600", stream="err")
    held = await bolide("undrain", own, "--config", "balancer.toml")
    assert await held.status() == 0
    await held.said(f"{own} gets new sessions again .*\nIf it was told to drain, .* started anew")
    unknown = await bolide("drain", "nort", "--config", "balancer.toml")
    assert await unknown.status() == 1
    await unknown.said("nort", stream="err")
    balancer.send(signal.SIGTERM)
    assert await balancer.status() == 0
    gone = await bolide("top", "--config", "balancer.toml")
    assert await gone.status() == 1
    await gone.said("No balancer answers at .*management.sock", stream="err")


async def see_it_from_outside(bolide: Start, drained: str) -> None:
    """Look at the balancer in a pipe, as a program and in a terminal."""
    told = await bolide("top", "--balancer", "--config", "balancer.toml", "--json")
    assert await told.status() == 0
    await told.said(r"\}\n$")
    seen = json.loads(told.out)
    states = {row["name"]: row["state"] for row in seen["nodes"]}
    assert states.keys() == {"dead", "north", "south"}
    assert (states["dead"], states[drained]) == ("down", "draining")
    assert [row["is_ready"] for row in seen["workers"]] == [True]
    assert seen["counts"]["connections_total"] >= 1
    assert seen["certificates_end_in_s"].keys() == {"certificate[1]", "nodes.tls"}

    plain = await bolide("top", "--socket", "run/management.sock")
    assert await plain.status() == 0
    await plain.said(r"^● ready  ward  up \d+ .*\n● certificates  nodes\.tls ends in ")
    await plain.said(r"\nNodes  3  1 down, 1 draining, \d+ sessions?\n")
    await plain.said(rf"\n{drained}  127\.0\.0\.1:\d+  draining +\d+ +0 +1 +[\d.]+ ms +0\n")
    await plain.said(r"\ndead   127\.0\.0\.1:1 .* ConnectionRefusedError")
    await plain.said(r"\nWorkers  1  \n")
    assert "\x1b" not in plain.out

    live = await bolide(
        *("top", "--balancer", "--config", "balancer.toml", "--interval", "0.1"), terminal=True
    )
    await live.said(r"Nodes[\s\S]*Workers")
    await live.said(r"connections \d+, \d[\d.]*/s")  # after the second look
    live.type("q")
    assert await live.status() == 0

    both = await bolide("top", "http://127.0.0.1:1", "--balancer")
    assert await both.status() == 2
    await both.said("URL is .*, but must be left out with --balancer", stream="err")


async def test_a_slip_of_the_pen_is_told_with_its_line(bolide: Start, slip: Path) -> None:
    command = await bolide("balance", "--check", slip.name)
    assert await command.status() == 2
    await command.said("line 1.*cluster", stream="err")
    assert command.err.count("\n") == 1
