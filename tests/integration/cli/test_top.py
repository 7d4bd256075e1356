"""``bolide top`` against a node that serves a ward, in pipes and in terminals."""

import json
import re
import signal
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Start

EXAMPLES = str(Path(__file__).parents[3] / "examples")


class Ward:
    """A node with somebody who watches.

    Attributes:
        url: Where it is.
        management: Where its management listener is.
    """

    def __init__(self, url: str, management: str) -> None:
        self.url = url
        self.management = management


@pytest.fixture
async def ward(bolide: Start) -> Ward:
    node = await bolide(
        *("run", "--app-dir", EXAMPLES, "ward.app:app", "--store", "memory:"),
        *("--port", "0", "--management-port", "0"),
    )
    url = await node.url()
    told = await node.said(r"metrics: (http://127\.0\.0\.1:\d+)/readyz")
    watch = await bolide("watch", url, "ward.board", '"7"')
    await watch.said("added beds 7-01")
    return Ward(url, told[1])


async def test_top_in_a_pipe_is_plain_lines_once(bolide: Start, ward: Ward) -> None:
    top = await bolide("top", ward.management)
    assert await top.status() == 0
    await top.said(r"^● ready  up \d+ s  memory .*\nSessions  1  ")
    await top.said(r"\n\w{6}   127\.0\.0\.1 .* ward\.board\nLive queries  \d+")
    await top.said(r"  beds \{ward: \?\}.*  feed, index eq ward: asks for values of a field\n")
    assert "\x1b" not in top.out
    assert not top.err


async def test_top_as_json_is_one_line_for_scripts(bolide: Start, ward: Ward) -> None:
    top = await bolide("top", ward.management, "--json", "--limit", "1", terminal=False)
    assert await top.status() == 0
    await top.said(r"\}\n$")
    overview = json.loads(top.out)
    assert overview["node"]["state"] == "ready"
    assert overview["sessions"]["count"] == 1
    assert len(overview["live_query_rows"]) == 1
    assert overview["live_queries"]["count"] > 1


@pytest.mark.parametrize("leave", ["q", "interrupt"])
async def test_top_in_a_terminal_goes_on_until_it_is_left(
    bolide: Start, ward: Ward, leave: str
) -> None:
    top = await bolide("top", ward.management, "--interval", "0.1", terminal=True)
    await top.said(r"● ready[\s\S]*q ends[\s\S]*Sessions[\s\S]*ward\.board")
    # A second look has rates.
    await top.said(r"[\d.]+ messages/s[\s\S]*index eq ward: asks for values of a field")
    if leave == "q":
        top.type("q")
    else:
        top.send(signal.SIGINT)
    assert await top.status() == 0
    assert top.out.endswith("\x1b[?1049l\x1b[?25h") or "\x1b[?1049l" in top.out[-40:]


async def test_top_once_in_a_terminal_leaves_it_as_it_is(bolide: Start, ward: Ward) -> None:
    top = await bolide("top", ward.management, "--once", terminal=True)
    assert await top.status() == 0
    await top.said(r"Live queries  \d+")
    assert "\x1b[?1049h" not in top.out


async def test_top_of_the_node_itself_names_the_flag(bolide: Start, ward: Ward) -> None:
    top = await bolide("top", ward.url)
    assert await top.status() == 1
    told = "bolide: {} is not the management listener of a node (it answered 404): give the port"
    assert re.match(re.escape(told.format(ward.url)), top.err)
