"""What somebody sees who looks at the ward board."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect
from tests.browser.conftest import Node, OpenBoard, StartNode

from bolide.client import Client, connect

pytestmark = pytest.mark.asyncio(loop_scope="module")

WELL = {
    "heart_rate": 72,
    "respiration": 16,
    "saturation": 97,
    "systolic": 121,
    "diastolic": 79,
    "temperature": 36.8,
}
TIRED = WELL | {"heart_rate": 95, "saturation": 95, "systolic": 105}
ILL = WELL | {"heart_rate": 120, "respiration": 22, "saturation": 93}
PHONE = 390
"""Width of a phone, pixels."""

# Text whose contrast is below 4.5, the least that WCAG 2 allows at level AA.
POOR_CONTRAST = """() => {
  const light = (colour) => {
    const parts = colour.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255);
    const [red, green, blue] = parts.map(
      (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const ground = (one) => {
    const colour = getComputedStyle(one).backgroundColor;
    return colour === "rgba(0, 0, 0, 0)" ? ground(one.parentElement) : colour;
  };
  const contrast = (one) => {
    const [dark, bright] =
      [light(getComputedStyle(one).color), light(ground(one))].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const texts = [...document.body.querySelectorAll("*")].filter((one) => one.checkVisibility()
    && [...one.childNodes].some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim()));
  return [texts.length, texts.filter((one) => contrast(one) < 4.5).map((one) => one.outerHTML)];
}"""


async def _record(client: Client, patient: str, readings: dict[str, Any]) -> None:
    await client.call("vitals.record", patient, readings)


async def test_each_bed_shows_its_patient_signs_and_score(
    start_node: StartNode, open_board: OpenBoard
) -> None:
    node = await start_node()
    async with connect(node.url) as client:
        for patient, readings in (("p01", WELL), ("p04", TIRED), ("p07", ILL)):
            await _record(client, patient, readings)
    page = await open_board(node.url)
    beds = page.locator("article")
    await expect(beds).to_have_count(12)
    await expect(beds.locator("h2 b")).to_have_text([f"Bed {number}" for number in range(1, 13)])
    await expect(beds.locator("h2 span").nth(0)).to_have_text("Ada Bergström")
    await expect(beds.nth(0).locator("dd")).to_have_text(["72", "97", "16", "121/79", "36.8"])
    await expect(beds.nth(0).locator("header p")).to_have_text("score 0routine")
    await expect(beds.nth(3).locator("header p")).to_have_text("score 3◆ watch")
    await expect(beds.nth(6).locator("header p")).to_have_text("score 6▲ urgent")
    await expect(beds.nth(1)).to_have_text("Bed 2Bruno Kellerno readings yet")
    await expect(beds.nth(11)).to_have_text("Bed 12free")
    await expect(page.locator("#summary span")).to_have_text(["▲ urgent: Bed 7", "◆ watch: Bed 4"])


async def test_signs_change_while_somebody_looks(
    start_node: StartNode, open_board: OpenBoard, tmp_path: Path
) -> None:
    node = await start_node.demo(tmp_path)
    page = await open_board(node.url)
    signs = page.locator("article dl")
    await expect(signs).to_have_count(10)
    before = await signs.all_inner_texts()
    for number, text in enumerate(before):
        await expect(signs.nth(number)).not_to_have_text(text, use_inner_text=True)


async def test_a_note_of_somebody_else_appears(ward: Node, open_board: OpenBoard) -> None:
    page = await open_board(ward.url)
    notes = page.locator("#list li")
    await expect(notes.first).to_be_visible()
    before = await notes.count()
    async with connect(ward.url) as client:
        await client.call("notes.add", "p02", "Asked for a second pillow.")
    await expect(notes).to_have_count(before + 1)
    await expect(notes.first).to_contain_text("Bed 2 · Bruno Keller")
    await expect(notes.first.locator("p")).to_have_text("Asked for a second pillow.")


async def test_a_note_added_here_appears_on_another_board(
    ward: Node, open_board: OpenBoard
) -> None:
    here, there = await open_board(ward.url), await open_board(ward.url)
    await here.get_by_label("Patient").select_option("Bed 3 · Chiara Lindqvist")
    await here.get_by_label("Note", exact=True).fill("Temperature taken by hand.")
    await here.get_by_role("button", name="Add").click()
    for page in (here, there):
        note = page.locator("#list li").first
        await expect(note.locator("p")).to_have_text("Temperature taken by hand.")
        await expect(note).to_contain_text("Bed 3 · Chiara Lindqvist")
    await expect(here.get_by_label("Note", exact=True)).to_have_value("")


async def test_markup_in_a_note_is_text(ward: Node, open_board: OpenBoard) -> None:
    page = await open_board(ward.url)
    text = "<script>document.title = 'taken'</script><img src=x onerror=alert(1)> & <b>bold</b>"
    async with connect(ward.url) as client:
        await client.call("notes.add", "p02", text)
    await expect(page.locator("#list li p").first).to_have_text(text)
    await expect(page.locator("#list :is(script, img, b)")).to_have_count(0)
    await expect(page).to_have_title("Ward 7")


async def test_code_in_the_markup_does_not_run(ward: Node, open_board: OpenBoard) -> None:
    page = await open_board(ward.url)
    async with page.expect_console_message():
        await page.evaluate("""() => {
          const script = document.createElement("script");
          script.textContent = "document.title = 'taken'";
          document.body.append(script);
        }""")
    assert "Content Security Policy" in open_board.complaints.pop()
    await expect(page).to_have_title("Ward 7")


async def test_an_empty_note_is_refused_with_the_reason(ward: Node, open_board: OpenBoard) -> None:
    page = await open_board(ward.url)
    await page.get_by_label("Patient").select_option("Bed 3 · Chiara Lindqvist")
    await page.get_by_label("Note", exact=True).fill("   ")
    await page.get_by_role("button", name="Add").click()
    await expect(page.locator("#problem")).to_have_text("Write something into the note.")


async def test_no_sign_is_cut_at_any_width(ward: Node, open_board: OpenBoard) -> None:
    readings = {"heart_rate": 188, "saturation": 100, "systolic": 214, "diastolic": 121}
    async with connect(ward.url) as client:
        for number in range(1, 11):
            await _record(client, f"p{number:02}", WELL | readings | {"temperature": 40.4})
    page = await open_board(ward.url)
    await expect(page.locator("dl")).to_have_count(10)
    cut = "all => all.filter(one => one.scrollWidth > one.clientWidth).map(one => one.textContent)"
    for width in (320, 390, 768, 1366, 1920, 3840):
        await page.set_viewport_size({"width": width, "height": 1080})
        assert await page.locator("dd, h2, header p").evaluate_all(cut) == []
        assert await page.evaluate("document.documentElement.scrollWidth") <= width


async def test_the_board_is_usable_on_a_phone(ward: Node, open_board: OpenBoard) -> None:
    async with connect(ward.url) as client:
        await _record(client, "p07", ILL | {"systolic": 165, "diastolic": 101})
    page = await open_board(ward.url, width=PHONE, height=844)
    await expect(page.locator("article")).to_have_count(12)
    # All at once: the cards are drawn anew once a second.
    edges = "all => all.map(one => one.getBoundingClientRect()).map(box => [box.left, box.right])"
    for left, right in await page.locator("article").evaluate_all(edges):
        assert left >= 0
        assert right <= PHONE

    await page.get_by_role("link", name="Notes").click()
    form = page.locator("#note")
    await expect(form).to_be_in_viewport(ratio=1)
    for control in await form.locator("select, input, button").all():
        box = await control.bounding_box()
        assert box is not None
        assert box["height"] >= 44  # a finger's width
    await form.get_by_label("Patient").select_option("Bed 7 · Greta Ivanova")
    await form.get_by_label("Note", exact=True).fill("Written on a phone.")
    await form.get_by_role("button", name="Add").click()
    await expect(page.locator("#list li p").first).to_have_text("Written on a phone.")


async def test_every_text_has_contrast_live_and_old(
    start_node: StartNode, open_board: OpenBoard
) -> None:
    node = await start_node()
    async with connect(node.url) as client:
        for patient, readings in (("p01", WELL), ("p04", TIRED), ("p07", ILL)):
            await _record(client, patient, readings)
    page = await open_board(node.url)
    await expect(page.locator("[data-level=urgent]")).to_have_count(1)
    texts, poor = await page.evaluate(POOR_CONTRAST)
    assert (texts > 60, poor) == (True, [])

    await node.stop()
    await expect(page.locator("#why")).to_be_visible()
    old_texts, poor = await page.evaluate(POOR_CONTRAST)
    assert (old_texts > texts, poor) == (True, [])
