"""Top: a node is looked at again and again, whether it answers or not."""

import asyncio
import signal
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import msgspec
import pytest
import pytest_asyncio
from rich.console import Console
from starlette.responses import PlainTextResponse
from tests.unit.ops.top.overviews import make_job, make_overview, make_query, make_session
from tests.unit.ops.watch.test_watch import Output

from bolide.ops.node.listener import bind
from bolide.ops.node.node_service import node_running
from bolide.ops.node.service import serving
from bolide.ops.race import first_of
from bolide.ops.top.management_client import Management, ManagementFailed
from bolide.ops.top.rates import Rates, compare
from bolide.ops.top.top import TopDisplay, look, look_for_json, top
from bolide.ops.top.view import TopView, plain_lines
from bolide.server import App, Settings
from bolide.server.telemetry.overview import Overview


class Ward:
    """A node with a management listener that can be stopped and started again on its port."""

    def __init__(self) -> None:
        self.app = App()
        self.management = Management("127.0.0.1", 0)
        self._node = AsyncExitStack()

    async def start(self) -> None:
        listener, management = bind("127.0.0.1", 0), bind("127.0.0.1", self.management.port)
        self.management = Management("127.0.0.1", management.getsockname()[1])
        running = node_running(self.app, Settings(store="memory:"), listener, management)
        await self._node.enter_async_context(running)

    async def stop(self) -> None:
        await self._node.aclose()


@pytest_asyncio.fixture
async def ward() -> AsyncGenerator[Ward]:
    ward = Ward()
    await ward.start()
    yield ward
    await ward.stop()


class Recorder:
    """A display that keeps what it is shown; after each it may do something.

    Attributes:
        seen: Rates and errors.
        news: Set by each.
    """

    def __init__(self) -> None:
        self.seen: list[Rates | ManagementFailed] = []
        self.news = asyncio.Event()
        self.is_open = False

    def __enter__(self) -> Self:
        self.is_open = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.is_open = False

    def show(self, rates: Rates) -> None:
        self._take(rates)

    def fail(self, error: ManagementFailed) -> None:
        self._take(error)

    def _take(self, one: Rates | ManagementFailed) -> None:
        assert self.is_open
        self.seen.append(one)
        self.news.set()

    async def wait_for(self, kind: type[Rates] | type[ManagementFailed]) -> None:
        async with asyncio.timeout(20):
            while not (self.seen and isinstance(self.seen[-1], kind)):
                self.news.clear()
                await self.news.wait()


async def test_a_node_is_looked_at_through_its_restart(ward: Ward) -> None:
    recorder = Recorder()
    display: TopDisplay = recorder

    async def restart() -> None:
        await recorder.wait_for(Rates)
        await ward.stop()
        await recorder.wait_for(ManagementFailed)
        await ward.start()
        await recorder.wait_for(Rates)

    await first_of(top(ward.management, display, interval_s=0.01, rows=5), restart())
    assert not recorder.is_open
    first, last = recorder.seen[0], recorder.seen[-1]
    assert isinstance(first, Rates)
    assert isinstance(last, Rates)
    assert first.span_s is None
    assert last.overview.node.state == "ready"


async def test_a_second_look_has_rates(ward: Ward) -> None:
    recorder = Recorder()

    async def look_twice() -> None:
        async with asyncio.timeout(20):
            while len(recorder.seen) < 2:
                recorder.news.clear()
                await recorder.news.wait()

    await first_of(top(ward.management, recorder, interval_s=0.01, rows=5), look_twice())
    second = recorder.seen[1]
    assert isinstance(second, Rates)
    assert second.span_s is not None
    assert second.messages_per_s == 0


async def test_a_first_look_that_fails_opens_no_display(ward: Ward) -> None:
    await ward.stop()
    recorder = Recorder()
    with pytest.raises(ManagementFailed, match="--management-port"):
        await top(ward.management, recorder, interval_s=1, rows=5)
    assert recorder.seen == []


async def test_json_is_the_nodes_own(ward: Ward) -> None:
    answer = await look_for_json(ward.management, 7)
    overview = msgspec.json.decode(answer, type=Overview)
    assert overview.node.pid == (await look(ward.management, 7)).node.pid
    assert msgspec.json.encode(overview) == answer


async def test_an_answer_of_another_version_is_told() -> None:
    other = PlainTextResponse('{"node":1}')

    listener = bind("127.0.0.1", 0)
    management = Management("127.0.0.1", listener.getsockname()[1])
    async with serving(other, listener):
        with pytest.raises(ManagementFailed, match="does not understand"):
            await look(management, 1)


def rates(*, number: int = 30) -> Rates:
    sessions = tuple(make_session(f"s{n}") for n in range(number))
    queries = tuple(make_query(n, collection=f"c{n}.") for n in range(number))
    return compare(None, make_overview(sessions=sessions, live_queries=queries))


@pytest.fixture
def out() -> Output:
    return Output()


def view_on(out: Output, width: int = 80, height: int = 24) -> TopView:
    console = Console(file=out, force_terminal=True, width=width, height=height)
    return TopView(console, "http://127.0.0.1:9300", 2)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (100, 40), (200, 60), (30, 6)])
async def test_the_view_fits_the_terminal(out: Output, width: int, height: int) -> None:
    with view_on(out, width, height) as view:
        view.show(rates())
        picture = view.picture()
    console = Console(width=width, height=height)
    lines = console.render_lines(picture, pad=False)
    assert all(sum(segment.cell_length for segment in line) <= width for line in lines)
    assert height < 20 or len(lines) == height


async def test_the_view_shows_the_costliest_of_both_kinds_and_counts_the_others(
    out: Output,
) -> None:
    with view_on(out) as view:
        view.show(rates())
    text = out.getvalue()
    assert "Sessions" in text
    assert "22 not shown" in text
    assert "26 not shown" in text
    assert "c3." in text
    assert "c4." not in text
    assert "index eq ward: asks for values of a field" in text
    assert "http://127.0.0.1:9300 every 2 s" in text


async def test_the_view_gives_all_room_to_who_needs_it(out: Output) -> None:
    sessions = (make_session("only"),)
    queries = tuple(make_query(n) for n in range(9))
    with view_on(out) as view:
        view.show(compare(None, make_overview(sessions=sessions, live_queries=queries)))
    assert "2 not shown" in out.getvalue()


async def test_jobs_have_their_share_of_the_terminal(out: Output) -> None:
    sessions = tuple(make_session(f"s{n}") for n in range(30))
    jobs = tuple(make_job(f"job{n}.") for n in range(9))
    with view_on(out) as view:
        view.show(compare(None, make_overview(sessions=sessions, jobs=jobs)))
        lines = Console(width=80, height=24).render_lines(view.picture(), pad=False)
    assert len(lines) == 24
    assert "3 not shown, 108 runs" in out.getvalue()
    assert "job5." in out.getvalue()
    assert "job6." not in out.getvalue()


async def test_a_node_that_does_not_answer_is_told_above_what_was_known(out: Output) -> None:
    with view_on(out) as view:
        view.show(rates(number=1))
        assert "● Old" not in out.getvalue()
        view.fail(ManagementFailed("http://127.0.0.1:9300", "does not answer."))
        told = out.getvalue()
        assert "● Old: it does not answer." in told
        assert told.count("s0") == 2
        view.show(rates(number=1))
        assert out.getvalue().count("● Old") == 1


async def test_the_view_is_drawn_anew_when_the_terminal_changes_its_size(out: Output) -> None:
    with view_on(out) as view:
        view.show(rates(number=1))
        signal.raise_signal(signal.SIGWINCH)
        await out.wait_for("Sessions", times=2)


async def test_nothing_is_drawn_before_the_first_look(out: Output) -> None:
    with view_on(out):
        pass
    assert "Sessions" not in out.getvalue()


def test_plain_lines_are_all_rows_or_none() -> None:
    lines = list(plain_lines(rates()))
    assert len(lines) == 1 + 2 * (2 + 30)
    jobs = (make_job("one"), make_job("two"))
    assert len(list(plain_lines(compare(None, make_overview(jobs=jobs))))) == 3 + 2 + 2
    lines = list(plain_lines(compare(None, make_overview())))
    assert [line.split("  ")[0] for line in lines] == ["● ready", "Sessions", "Live queries"]
