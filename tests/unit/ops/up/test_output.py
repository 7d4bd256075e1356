"""Lines of several processes, with their names in front."""

import asyncio
import re
from io import StringIO

from bolide.ops.up.output import Output


class Terminal(StringIO):
    def isatty(self) -> bool:
        return True


def texts(out: StringIO) -> list[str]:
    return [re.sub(r"^\d\d:\d\d:\d\d ", "", line) for line in out.getvalue().splitlines()]


def test_names_have_one_width() -> None:
    out = StringIO()
    output = Output(out, ["balancer", "node1"])
    output.say("balancer", "here")
    output.say("node1", "there")
    assert texts(out) == ["balancer | here", "node1    | there"]


def test_each_process_has_a_colour_on_a_terminal() -> None:
    out = Terminal()
    output = Output(out, ["balancer", "node1"])
    output.say("balancer", "here")
    output.say("node1", "there")
    first, second = out.getvalue().splitlines()
    assert re.fullmatch(r"\x1b\[36m\d\d:\d\d:\d\d balancer \| \x1b\[0mhere", first)
    assert re.fullmatch(r"\x1b\[33m\d\d:\d\d:\d\d node1    \| \x1b\[0mthere", second)


async def test_lines_of_a_stream_are_written_whole() -> None:
    out = StringIO()
    stream = asyncio.StreamReader()
    for data in (b"one\r\nt", b"wo \xff", b"\nthe last"):
        stream.feed_data(data)
    stream.feed_eof()
    await Output(out, ["a"]).follow("a", stream)
    assert texts(out) == ["a | one", "a | two \ufffd", "a | the last"]


async def test_a_line_without_end_is_not_kept() -> None:
    out = StringIO()
    stream = asyncio.StreamReader()
    stream.feed_data(b"x" * 200_000)
    stream.feed_eof()
    await Output(out, ["a"]).follow("a", stream)
    assert [len(text) for text in texts(out)] == [65_540, 65_540, 65_540, 3_396]
