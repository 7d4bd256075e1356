"""What the ward board does while its server is away, and after."""

import json

import pytest
from playwright.async_api import expect
from tests.browser.conftest import OpenBoard, StartNode

from bolide.client import connect

pytestmark = pytest.mark.asyncio(loop_scope="module")

READINGS = {
    "heart_rate": 72,
    "respiration": 16,
    "saturation": 97,
    "systolic": 121,
    "diastolic": 79,
    "temperature": 36.8,
}


def _is_pong(frame: str | bytes) -> bool:
    return bool(json.loads(frame).get("msg") == "pong")


async def test_old_data_stay_marked_until_new_ones_replace_them(
    start_node: StartNode, open_board: OpenBoard
) -> None:
    node = await start_node()
    await start_node.monitors(node.url)
    page = await open_board(node.url)
    await expect(page.locator("article dl")).to_have_count(10)

    await node.stop()
    await expect(page.locator("#why")).to_contain_text(
        "Connection lost: the server was stopped or is being restarted."
        " All values are old: they are from "
    )
    await expect(page.locator("#status")).to_have_text("connection lost")
    await expect(page.locator("article").get_by_text("old: ")).to_have_count(10)
    await expect(page.locator("article")).to_have_count(12)
    await expect(page.locator("article dl")).to_have_count(10)
    await expect(page.locator("#list li")).to_have_count(6)

    # Meanwhile somebody writes through another node.
    other = await start_node()
    async with connect(other.url) as client:
        await client.call("notes.add", "p05", "Written while you were away.")
    await other.stop()

    await start_node(node.port)
    await expect(page.locator("#status")).to_have_text("live")
    await expect(page.locator("#lost")).to_be_hidden()
    await expect(page.locator("article").get_by_text("old: ")).to_have_count(0)
    await expect(page.locator("article h2 b")).to_have_text(
        [f"Bed {number}" for number in range(1, 13)]
    )
    notes = page.locator("#list li")
    await expect(notes).to_have_count(7)
    await expect(notes.locator("p").first).to_have_text("Written while you were away.")
    signs = page.locator("article dl").first
    before = await signs.inner_text()
    await expect(signs).not_to_have_text(before, use_inner_text=True)


async def test_what_somebody_types_is_never_lost(
    start_node: StartNode, open_board: OpenBoard
) -> None:
    node = await start_node()
    await start_node.monitors(node.url)
    page = await open_board(node.url)
    patient, field = page.get_by_label("Patient"), page.get_by_label("Note", exact=True)
    signs = page.locator("article dl").first
    await patient.select_option("Bed 7 · Greta Ivanova")

    await field.press_sequentially("While data change, ")
    before = await signs.inner_text()
    await expect(signs).not_to_have_text(before, use_inner_text=True)
    await field.press_sequentially("without a connection, ")
    await node.stop()
    await expect(page.locator("#status")).to_have_text("connection lost")
    await field.press_sequentially("and after")
    await field.press("Enter")
    await expect(page.locator("#problem")).to_have_text(
        "There is no connection. Add it again when there is."
    )
    await start_node(node.port)
    await expect(page.locator("#status")).to_have_text("live")
    await expect(field).to_be_focused()
    await page.keyboard.type(".")

    text = "While data change, without a connection, and after."
    await expect(field).to_have_value(text)
    await expect(patient).to_have_value("p07")
    await page.keyboard.press("Enter")
    note = page.locator("#list li").first
    await expect(note.locator("p")).to_have_text(text)
    await expect(note).to_contain_text("Bed 7 · Greta Ivanova")
    await expect(field).to_have_value("")
    await expect(page.locator("#problem")).to_have_text("")


async def test_a_note_without_an_answer_stays_and_the_page_says_what_to_do(
    start_node: StartNode, open_board: OpenBoard
) -> None:
    node = await start_node()
    page = await open_board(node.url)
    await page.get_by_label("Patient").select_option("Bed 2 · Bruno Keller")
    await page.get_by_label("Note", exact=True).fill("Was this saved?")
    node.freeze()
    await page.get_by_role("button", name="Add").click()
    node.kill()
    await expect(page.locator("#problem")).to_have_text(
        "The connection was lost. Look whether it is in the list before you add it again."
    )
    await expect(page.get_by_label("Note", exact=True)).to_have_value("Was this saved?")


async def test_a_silent_server_is_given_up(start_node: StartNode, open_board: OpenBoard) -> None:
    node = await start_node()
    page = await open_board(node.url, own_clock=True)
    node.freeze()
    await page.clock.run_for(10_000)
    await expect(page.locator("#status")).to_have_text("live")
    await page.clock.run_for(10_000)
    await expect(page.locator("#why")).to_contain_text(
        "Connection lost: the server does not answer."
    )
    node.thaw()
    await expect(page.locator("#status")).to_have_text("live")


async def test_a_person_need_not_wait_for_the_next_try(
    start_node: StartNode, open_board: OpenBoard
) -> None:
    node = await start_node()
    page = await open_board(node.url, own_clock=True)
    await node.stop()
    await expect(page.locator("#next")).to_contain_text("Next try in")
    await page.clock.pause_at(await page.evaluate("Date.now()") + 60_000)
    await start_node(node.port)
    async with page.expect_websocket():
        await page.get_by_role("button", name="Try now").click()
    await page.clock.resume()
    await expect(page.locator("#status")).to_have_text("live")


async def test_a_quiet_ward_stays_live_and_marks_unchanged_signs(
    start_node: StartNode, open_board: OpenBoard
) -> None:
    node = await start_node()
    async with connect(node.url) as client:
        await client.call("vitals.record", "p01", READINGS)
    page = await open_board(node.url, own_clock=True)
    async with page.expect_websocket() as opening:
        await page.reload()
    socket = await opening.value
    await expect(page.locator("#status")).to_have_text("live")
    await expect(page.locator("article dl")).to_have_count(1)
    await expect(page.get_by_text("unchanged since")).to_have_count(0)
    for _ in range(3):
        async with socket.expect_event("framereceived", _is_pong):
            await page.clock.run_for(9_000)
    await expect(page.locator("#status")).to_have_text("live")
    await expect(page.locator("article").first).to_contain_text("unchanged since")
    async with connect(node.url) as client:
        await client.call("vitals.record", "p01", READINGS | {"heart_rate": 73})
    await expect(page.get_by_text("unchanged since")).to_have_count(0)
