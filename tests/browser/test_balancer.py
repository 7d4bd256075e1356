"""The ward board through a balancer: nobody who looks at it has to know that there are nodes."""

import asyncio
import ssl
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from playwright.async_api import Page, expect
from tests.browser.conftest import TIMEOUT_S, Cluster, OpenBoard, StartNode

from bolide.client import Client, connect

pytestmark = pytest.mark.asyncio(loop_scope="module")

TYPED = "Asked for a second pillow."

# Everything that a person could take for trouble, from now on.
WATCH_FOR_TROUBLE = """() => {
  window.trouble = [];
  const look = () => {
    const status = document.getElementById("status").textContent;
    if (status !== "live") window.trouble.push(status);
    if (!document.getElementById("lost").hidden) window.trouble.push("lost");
    const problem = document.getElementById("problem").textContent;
    if (problem) window.trouble.push(problem);
  };
  new MutationObserver(look).observe(
    document.body, { subtree: true, childList: true, characterData: true, attributes: true });
}"""

# A promise, which is kept when the page says that its connection is lost.
WATCH_FOR_LOSS = """() => {
  const status = document.getElementById("status");
  window.lost = new Promise((keep) => {
    const look = () => status.textContent === "connection lost" && keep();
    new MutationObserver(look).observe(
      status, { subtree: true, childList: true, characterData: true });
  });
}"""


@asynccontextmanager
async def client_of(cluster: Cluster, folder: Path) -> AsyncGenerator[Client]:
    authority = folder / "state" / "browsers" / "ca.pem"
    trusting = ssl.create_default_context(cafile=str(authority))
    async with connect(cluster.url, ssl=trusting) as client:
        yield client


async def begin_a_note(page: Page) -> None:
    await page.get_by_label("Patient").select_option("Bed 2 · Bruno Keller")
    await page.get_by_label("Note", exact=True).fill(TYPED)


async def expect_the_note_as_it_was_typed(page: Page) -> None:
    """Look that nothing of the input is lost, and that it can be sent."""
    await expect(page.get_by_label("Note", exact=True)).to_have_value(TYPED)
    await page.get_by_role("button", name="Add").click()
    await expect(page.locator("#list li").first.locator("p")).to_have_text(TYPED)
    await expect(page.locator("#list li").first).to_contain_text("Bed 2 · Bruno Keller")


async def test_the_board_is_live_through_a_balancer(
    start_node: StartNode, open_board: OpenBoard, tmp_path: Path
) -> None:
    cluster = await start_node.cluster(tmp_path)
    page = await open_board(cluster.url)
    await expect(page.locator("article")).to_have_count(12)
    [cookie] = await page.context.cookies()
    assert cookie.get("name") == "__Host-bolide_lb"
    assert cookie.get("secure")
    assert cookie.get("httpOnly")
    assert cookie.get("sameSite") == "Lax"
    async with client_of(cluster, tmp_path) as client:
        await client.call("notes.add", "p02", "Slept badly.")
    await expect(page.locator("#list li").first.locator("p")).to_have_text("Slept badly.")
    response = await page.reload()
    assert response is not None
    assert await response.header_value("strict-transport-security") == "max-age=86400"
    await expect(page.locator("#status")).to_have_text("live")


async def test_a_node_that_dies_costs_a_moment_and_no_input(
    start_node: StartNode, open_board: OpenBoard, tmp_path: Path
) -> None:
    cluster = await start_node.cluster(tmp_path)
    page = await open_board(cluster.url)
    await begin_a_note(page)
    node = await cluster.busy_node()
    await page.evaluate(WATCH_FOR_LOSS)
    with cluster.starting_nothing():
        await cluster.kill(node)
        async with asyncio.timeout(TIMEOUT_S):  # a loss may be too short to be found by looking
            await page.evaluate("window.lost")
        await expect(page.locator("#status")).to_have_text("live")
        await cluster.busy_node(but=node)
    await expect_the_note_as_it_was_typed(page)
    await cluster.said(rf"{node} was ended by SIGKILL; it is started again")


async def test_a_drained_node_sends_the_board_elsewhere_and_nobody_notices(
    start_node: StartNode, open_board: OpenBoard, tmp_path: Path
) -> None:
    cluster = await start_node.cluster(tmp_path)
    page = await open_board(cluster.url)
    await begin_a_note(page)
    node = await cluster.busy_node()
    await page.evaluate(WATCH_FOR_TROUBLE)
    async with page.expect_websocket():
        told = await cluster.ask("/drain", {"node": node, "within": 3})
    assert told["told"]
    await cluster.quiet_node(node)
    await cluster.busy_node(but=node)
    await expect_the_note_as_it_was_typed(page)
    async with client_of(cluster, tmp_path) as client:
        await client.call("notes.add", "p03", "Slept well.")
    await expect(page.locator("#list li").first.locator("p")).to_have_text("Slept well.")
    assert await page.evaluate("window.trouble") == []
