"""Processes that end together, and one by one only if they are told to."""

import asyncio
import os
import re
import select
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from io import StringIO

import pytest

from bolide.ops.up.output import Output
from bolide.ops.up.procfile import Line
from bolide.ops.up.runner import EndedTooSoon, Runner

TIMEOUT_S = 30 * float(os.environ.get("BOLIDE_TESTS_TIMEOUT_FACTOR", "1"))
SLEEPS = "echo ready; exec sleep 600"
# A process that was told to end goes on.
STUBBORN = f"exec {sys.executable} -c \"import signal, time; \
[signal.signal(signal.SIGTERM, signal.SIG_IGN), print('ready'), time.sleep(600)]\""


class Said(StringIO):
    """What all said; the test waits for it."""

    def __init__(self) -> None:
        super().__init__()
        self.news = asyncio.Event()

    def write(self, text: str) -> int:
        self.news.set()
        return super().write(text)

    async def wait_for(self, pattern: str, times: int = 1) -> None:
        async with asyncio.timeout(TIMEOUT_S):
            while len(re.findall(pattern, self.getvalue())) < times:
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def running(runner: Runner) -> AsyncGenerator["asyncio.Task[None]"]:
    task = asyncio.create_task(runner.run())
    try:
        yield task
    finally:
        runner.end()
        await asyncio.wait({task})


def make_runner(said: Said, hurried: asyncio.Event | None = None, **commands: str) -> Runner:
    lines = [Line(name, command) for name, command in commands.items()]
    output = Output(said, commands)
    return Runner(lines, os.environ, output, hurried=hurried, first_pause_s=0.01)


def is_there(pid: int | None) -> bool:
    assert pid is not None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_all_end_when_they_are_told_to() -> None:
    said = Said()
    runner = make_runner(said, one=SLEEPS, two=SLEEPS)
    async with running(runner) as task:
        await said.wait_for("ready", 2)
        pids = [runner.pid(name) for name in ("one", "two")]
        runner.settle()
        runner.end()
        await asyncio.wait_for(task, TIMEOUT_S)
    assert not any(map(is_there, pids))
    assert runner.restarts == {"one": 0, "two": 0}


async def test_one_that_ends_before_all_work_ends_all() -> None:
    said = Said()
    runner = make_runner(said, one=SLEEPS, two="echo no such thing >&2; exit 3")
    async with running(runner) as task:
        with pytest.raises(EndedTooSoon, match="two ended with status 3 before everything worked"):
            await asyncio.wait_for(task, TIMEOUT_S)
    assert "two | no such thing" in said.getvalue()
    assert runner.pid("one") is None


async def test_one_that_dies_later_is_started_again_and_the_others_go_on() -> None:
    said = Said()
    runner = make_runner(said, one=SLEEPS, two=SLEEPS)
    async with running(runner):
        await said.wait_for("ready", 2)
        runner.settle()
        before, other = runner.pid("one"), runner.pid("two")
        assert before is not None
        os.kill(before, signal.SIGKILL)
        await said.wait_for(r"one \| ready", 2)
        assert runner.pid("one") != before
        assert runner.pid("two") == other
        assert f"up  | one is process {runner.pid('one')} now" in said.getvalue()
        assert runner.pids(["two"]) == f"two is process {other}"
    assert "up  | one was ended by SIGKILL; it is started again in 0.01 s" in said.getvalue()
    assert runner.restarts == {"one": 1, "two": 0}


async def test_pauses_grow_while_a_process_does_not_last() -> None:
    said = Said()
    runner = make_runner(said, one=SLEEPS, two='read -r first <&0; test "$first"')
    runner.settle()
    async with running(runner):
        await said.wait_for("two ended with status 1; it is started again in 0.04 s")
    pauses = re.findall(r"again in ([\d.]+) s", said.getvalue())
    assert pauses[:3] == ["0.01", "0.02", "0.04"]


async def test_one_that_does_not_end_is_killed_when_somebody_hurries() -> None:
    said, hurried = Said(), asyncio.Event()
    runner = make_runner(said, hurried, one=STUBBORN, two=SLEEPS)
    async with running(runner) as task:
        await said.wait_for("ready", 2)
        runner.settle()
        runner.end()
        hurried.set()
        await asyncio.wait_for(task, TIMEOUT_S)
    assert re.search(r"up  \| one.* did not end in time: killed", said.getvalue())


async def test_children_of_the_shell_end_with_it() -> None:
    said = Said()
    runner = make_runner(said, one="sleep 600 & echo child $!; wait")
    async with running(runner):
        await said.wait_for(r"child \d+")
        child = int(re.findall(r"child (\d+)", said.getvalue())[0])
        runner.settle()
        end = os.pidfd_open(child)
    ended, _, _ = await asyncio.to_thread(select.select, [end], [], [], TIMEOUT_S)
    os.close(end)
    assert ended
