"""A ward that is live in Chromium, and what somebody on the wire can read of it."""

import asyncio
import tomllib
from collections.abc import AsyncGenerator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Final

import pytest
from playwright.async_api import Browser, Page, expect
from tests.browser.conftest import EXAMPLES, Node
from tests.haproxy import find_haproxy
from tests.integration.balancer.processes import program
from tests.ports import free_ports
from tests.replica_set import ReplicaSet
from tests.sniffer import capturing, report

pytestmark = pytest.mark.asyncio(loop_scope="module")

MARK: Final = "Mrs Lovelace fell beside her bed"
WORDS: Final = {
    MARK,
    "Ada Bergström",
    "Jonas Adeyemi",
    "sputum sent to the laboratory",
    "heart_rate",
}
"""What the nurse writes, and what is on the ward and changes there."""

_PLAIN: Final = """
defaults
    mode http
    timeout connect 5s
    timeout client 60s
    timeout server 60s
frontend clients
    bind 127.0.0.1:{port}
    default_backend nodes
backend nodes
    server node 127.0.0.1:{node_port}
"""


async def work_on_the_ward(browser: Browser, url: str) -> None:
    """Write a note in one window and read it in another one, while the signs change."""
    async with AsyncExitStack() as stack:
        pages: list[Page] = []
        for _ in range(2):
            context = await browser.new_context(ignore_https_errors=True)
            stack.push_async_callback(context.close)
            pages.append(await context.new_page())
            await pages[-1].goto(url)
            await expect(pages[-1].locator("#status")).to_have_text("live")
        here, there = pages
        await here.get_by_label("Patient").select_option("Bed 3 · Chiara Lindqvist")
        await here.get_by_label("Note", exact=True).fill(MARK)
        await here.get_by_role("button", name="Add").click()
        await expect(there.locator("#list")).to_contain_text(MARK)
        signs = there.locator("article dl").first
        before = await signs.inner_text()
        await expect(signs).not_to_have_text(before, use_inner_text=True)


def nodes_of(folder: Path) -> list[dict[str, str]]:
    """Return the nodes of a demo that keeps its files somewhere in a folder."""
    (file,) = folder.glob("*/.bolide/balancer.toml")
    nodes: list[dict[str, str]] = tomllib.loads(file.read_text())["nodes"]["static"]
    return nodes


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


@asynccontextmanager
async def haproxy(file: Path) -> AsyncGenerator[None]:
    process = await asyncio.create_subprocess_exec(str(find_haproxy()), "-db", "-f", str(file))
    try:
        yield
    finally:
        process.terminate()
        await process.wait()


@asynccontextmanager
async def monitors(url: str) -> AsyncGenerator[None]:
    words = ("-m", "ward.monitor", url, "--interval", "0.1")
    async with program(*words, folder=EXAMPLES, environment={"PYTHONPATH": str(EXAMPLES)}):
        yield


async def test_nobody_on_any_hop_reads_what_is_on_the_ward(
    browser: Browser,
    replica_set: ReplicaSet,
    new_database: Callable[[], str],
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("BOLIDE_STORE", new_database())
    # Where the demo writes its settings; the path of a socket in it may have 107 bytes only.
    folder = tmp_path_factory.mktemp("wire")
    monkeypatch.setenv("TMPDIR", str(folder))
    async with capturing(folder) as capture:
        demo = await Node.start("demo", "--port", "0", "--interval", "0.1")
        try:
            nodes = nodes_of(folder)
            await work_on_the_ward(browser, demo.url)
        finally:
            await demo.stop()
    assert len(nodes) == 2
    hops = {
        "browser": capture.hop([demo.port]),
        "node": capture.hop(port_of(node["address"]) for node in nodes),
        "management": capture.hop(port_of(node["management"]) for node in nodes),
        "MongoDB": capture.hop(member.port for member in replica_set.members),
    }
    print(report(hops))
    for name, hop in hops.items():
        assert hop.size > 10_000, name
        assert hop.is_tls, name
        assert not hop.found(WORDS), name
    assert not capture.hop(capture.ports()).found([MARK])


async def test_without_tls_it_would_be_read_on_each_hop(
    browser: Browser,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    [port] = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    monkeypatch.setenv("BOLIDE_PUBLIC_URL", url)
    with ReplicaSet(1) as replica_set:
        async with AsyncExitStack() as stack:
            node = await Node.start(
                *("run", "ward.app:app", "--app-dir", str(EXAMPLES), "--port", "0"),
                *("--store", replica_set.url("ward"), "--management-port", "0"),
            )
            stack.push_async_callback(node.stop)
            file = tmp_path / "haproxy.cfg"
            file.write_text(_PLAIN.format(port=port, node_port=node.port))
            await stack.enter_async_context(haproxy(file))
            async with capturing(tmp_path) as capture, monitors(url):
                await work_on_the_ward(browser, url)
    hops = {
        "browser": capture.hop([port]),
        "node": capture.hop([node.port]),
        "MongoDB": capture.hop([replica_set.members[0].port]),
    }
    print(report(hops))
    for name, hop in hops.items():
        assert hop.found(WORDS) == WORDS, name
