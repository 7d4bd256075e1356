"""``bolide up``: a balancer and nodes on this machine, TLS between all, one Ctrl-C."""

import asyncio
import os
import re
import signal
import socket
import ssl
import sys
from pathlib import Path

import httpx
import pytest
from tests.integration.cli.conftest import Command, Start
from tests.integration.cli.test_balance import APP

from bolide.client import connect

COMMAND = ("up", "--port", "0", "--workers", "1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Write an app and its Procfile."""
    (tmp_path / "served.py").write_text(APP)
    (tmp_path / "Procfile").write_text("node: exec bolide run served:app\n")
    return tmp_path


async def url_of(command: Command) -> str:
    return (await command.said(r"serves at (https://localhost:\d+)/ with (\d) node"))[1]


def trusting(folder: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(folder / ".bolide" / "browsers" / "ca.pem"))


async def test_a_client_reaches_the_app_and_goes_on_when_nodes_die(
    bolide: Start, folder: Path
) -> None:
    command = await bolide(*COMMAND)
    url = await url_of(command)
    async with connect(url, ssl=trusting(folder)) as client:
        beds = client.collection("beds")
        await client.subscribe("beds")
        await client.call("make", "a")
        for number in (1, 2):
            pid = _pid_of(folder, f"node{number}")
            await command.said(f"node{number} is process {pid}[,;]")
            os.kill(pid, signal.SIGKILL)
            await command.said(rf"node{number} was ended by SIGKILL; it is started again")
            await client.call("make", f"b{number}")
            pattern = rf"(?s)node{number} was ended.*node{number} +\| Bolide .* serves"
            await command.said(pattern)
            # The balancer looks before it sends anybody there.
            told = (
                rf"(?s)node{number} was ended.*balancer \| .*node node{number}: was started again"
            )
            await command.said(told)
        ids = [bed["_id"] for bed in beds.find(sort=[("_id", 1)]).fetch()]
        assert ids == ["a", "b1", "b2"]
    command.send(signal.SIGINT)
    assert await command.status() == 0
    assert not _pids_with(folder)


async def test_every_hop_is_tls_and_plain_http_is_redirected(bolide: Start, folder: Path) -> None:
    command = await bolide(*COMMAND)
    url = await url_of(command)
    redirect = (await command.said(r"Plain HTTP at (http://localhost:\d+)/ leads there"))[1]
    async with httpx.AsyncClient(verify=trusting(folder), trust_env=False) as client:
        page = await client.get(f"{url}/nothing")
        assert page.status_code == 404
        assert page.headers["strict-transport-security"] == "max-age=86400"
        assert "__Host-bolide_lb" in page.cookies
        led = await client.get(f"{redirect}/a?b=c")
        assert (led.status_code, led.headers["location"]) == (308, f"{url}/a?b=c")
        posted = await client.post(f"{redirect}/a")
        assert posted.status_code >= 400
    ports = re.findall(r"BOLIDE_(?:MANAGEMENT_)?PORT=(\d+)", _procfile(folder))
    assert len(ports) == 4
    for port in ports:
        answer = await asyncio.to_thread(_answer_to_plain_text, int(port))
        assert answer == b"" or answer.startswith(b"HTTP/1.1 400 ")
    answer = await asyncio.to_thread(_answer_to_plain_text, int(url.rpartition(":")[2]))
    assert answer.startswith(b"HTTP/1.1 403 ")
    assert answer.endswith(b"\r\n\r\nAsk for this with https.\n")


async def test_a_node_that_cannot_start_ends_all_with_its_own_words(
    bolide: Start, folder: Path
) -> None:
    command = await bolide(*COMMAND, "nowhere:app")
    assert await command.status() == 1
    await command.said(r"node\d +\| bolide: There is no module nowhere")
    await command.said(
        r"^bolide: node\d ended with status 2 before everything worked", stream="err"
    )
    assert not _pids_with(folder)


async def test_what_cannot_be_an_app_or_a_port_of_each_starts_nothing(
    bolide: Start, folder: Path
) -> None:
    command = await bolide(*COMMAND, "served.py")
    assert await command.status() == 2
    await command.said("MODULE:APP is 'served.py', but must be a module and the app", stream="err")
    (folder / "Procfile").write_text("node: exec bolide run served:app --port 3001\n")
    command = await bolide(*COMMAND)
    assert await command.status() == 2
    await command.said("'--port 3001', but must be left out, or --port \\$PORT", stream="err")
    assert not (folder / ".bolide").exists()


async def test_ctrl_c_while_it_starts_ends_all(bolide: Start, folder: Path) -> None:
    (folder / "Procfile").write_text("node: echo begins; exec sleep 600\n")
    command = await bolide(*COMMAND)
    await command.said(r"node2 +\| begins")
    command.send(signal.SIGINT)
    assert await command.status() == 0
    assert not _pids_with(folder)


async def test_another_runner_of_procfiles_can_run_what_was_prepared(
    bolide: Start, folder: Path
) -> None:
    prepared = await bolide(*COMMAND, "--prepare")
    assert await prepared.status() == 0
    await prepared.said("Run it here with: honcho start -f .bolide/Procfile")
    toml = (folder / ".bolide" / "balancer.toml").read_text()
    port = re.findall(r'listen = \["127\.0\.0\.1:(\d+)"\]', toml)[0]
    honcho = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "honcho", "start", "-f", ".bolide/Procfile"),
        cwd=folder,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        # The client tries again until somebody is there.
        async with connect(f"https://localhost:{port}", ssl=trusting(folder), wait=False) as client:
            async with asyncio.timeout(60):
                await client.call("make", "a")
    finally:
        honcho.send_signal(signal.SIGINT)
        await honcho.wait()


async def test_a_folder_is_for_one_at_a_time(bolide: Start, folder: Path) -> None:
    (folder / "Procfile").write_text("node: echo begins; exec sleep 600\n")
    first = await bolide(*COMMAND)
    await first.said("begins")
    second = await bolide(*COMMAND)
    assert await second.status() == 2
    await second.said("--state is .* but must be a folder that nobody uses", stream="err")


async def test_without_app_and_procfile_it_says_what_is_missing(bolide: Start) -> None:
    command = await bolide(*COMMAND)
    assert await command.status() == 2
    await command.said("MODULE:APP is not set, but must be given where there is no", stream="err")


def _procfile(folder: Path) -> str:
    return (folder / ".bolide" / "Procfile").read_text()


def _answer_to_plain_text(port: int) -> bytes:
    """Return what a port says to HTTP without TLS, alerts left out."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        try:
            answer = connection.recv(65_536)
        except ConnectionResetError:
            return b""
    return b"" if answer[:1] == b"\x15" else answer


def _pids_with(folder: Path, word: str = "") -> list[int]:
    """Return the processes that work in a folder or are told of it, as the kernel has them."""
    found: list[int] = []
    for place in Path("/proc").glob("[0-9]*"):
        try:
            words = (place / "environ").read_bytes() + (place / "cmdline").read_bytes()
        except OSError:
            continue
        if str(folder / ".bolide").encode() in words and word.encode() in words:
            found.append(int(place.name))
    return found


def _pid_of(folder: Path, node: str) -> int:
    [pid] = _pids_with(folder, f"BOLIDE_TLS_CERT={folder}/.bolide/cluster/{node}.pem")
    return pid
