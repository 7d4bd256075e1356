"""``bolide watch`` and ``bolide call`` against a ward, in pipes and in terminals."""

import signal
from pathlib import Path

import pytest
from tests.integration.cli.conftest import Start

EXAMPLES = str(Path(__file__).parents[3] / "examples")


@pytest.fixture
async def url(bolide: Start) -> str:
    node = await bolide(
        "run", "--app-dir", EXAMPLES, "ward.app:app", "--port", "0", "--store", "memory:"
    )
    return await node.url()


async def test_watch_writes_changes_and_ends_with_0(bolide: Start, url: str) -> None:
    watch = await bolide("watch", url, "ward.board", '"7"')
    await watch.said(r'added beds 7-01 \{"label":"Bed 1","ward":"7"\}')
    call = await bolide("call", url, "notes.add", "p01", "Slept well.")
    assert await call.status() == 0
    await watch.said(rf'added notes {call.out.strip()[1:-1]} .*"text":"Slept well\."')
    watch.send(signal.SIGINT)
    assert await watch.status() == 0
    assert watch.err.startswith("● connecting\n● connected\n")


async def test_refusals_are_one_line_and_1(bolide: Start, url: str) -> None:
    for args, told in (
        (("watch", url, "nothing"), "bolide: Subscription 'nothing' not found [404]\n"),
        (
            ("watch", url, "ward.board", "7"),
            'bolide: Argument "ward" is not valid: string type [400]'
            """ (the string 7 is written '"7"')\n""",
        ),
        (
            ("call", url, "notes.add", "p99", "Hello"),
            "bolide: There is no such patient on the ward. [not-found]\n",
        ),
        (("call", f"{url}/elsewhere", "notes.add"), "bolide: ws://"),
    ):
        command = await bolide(*args)
        assert await command.status() == 1
        assert told in command.err
        assert not command.out


async def test_watch_shows_tables_in_a_terminal(bolide: Start, url: str) -> None:
    watch = await bolide("watch", url, "ward.board", '"7"', terminal=True)
    await watch.said(r"connected[\s\S]*beds  12[\s\S]*Bed 1[\s\S]*Ada Bergström")
    watch.send(signal.SIGINT)
    assert await watch.status() == 0


async def test_call_shows_its_result_in_lines_in_a_terminal(bolide: Start, url: str) -> None:
    call = await bolide("call", url, "notes.add", "p01", "Hello", terminal=True)
    assert await call.status() == 0
    await call.said(r'"\w{17}"')
