"""Watch: what is published is shown, through lost connections too, and why it ended is told."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from io import StringIO

import pytest
from rich.console import Console

from bolide.client import Client, ConnectionFailed
from bolide.core.errors import ConfigurationError, MethodError
from bolide.ops.node.listener import bind, url_of
from bolide.ops.node.node_service import node_running
from bolide.ops.race import first_of
from bolide.ops.terminal.tables import CollectionTables
from bolide.ops.watch.change_lines import ChangeLines
from bolide.ops.watch.live_view import HEAD_LINES, LiveView
from bolide.ops.watch.watch import Display, SubscriptionOver, watch
from bolide.server import App, Context, Cursor, Settings


class Output(StringIO):
    """A text that can be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self._written = asyncio.Event()

    def write(self, text: str) -> int:
        self._written.set()
        return super().write(text)

    async def wait_for(self, text: str, *, times: int = 1) -> None:
        async with asyncio.timeout(20):
            while self.getvalue().count(text) < times:
                self._written.clear()
                await self._written.wait()


class Ward:
    """An app whose node can be stopped and started again on the same port."""

    def __init__(self) -> None:
        self.app = App()
        self.beds = self.app.collection("beds")
        self.notes = self.app.collection("notes")
        self.app.publish("ward", public=True)(self.publish)
        self.app.publish("forbidden", public=True)(self.refuse)
        self.app.publish("brief", public=True)(self.publish_briefly)
        self._port = 0
        self._node = AsyncExitStack()
        self.url = ""

    async def publish(self, ctx: Context, ward: str) -> list[Cursor]:
        return [self.beds.find({"ward": ward}), self.notes.find()]

    async def refuse(self, ctx: Context) -> None:
        raise MethodError("not-today", "Come back tomorrow.")

    async def publish_briefly(self, ctx: Context) -> None:
        ctx.ready()
        ctx.stop()

    async def start(self) -> None:
        listener = bind("127.0.0.1", self._port)
        self.url = url_of(listener)
        self._port = listener.getsockname()[1]
        settings = Settings(store="memory:")
        await self._node.enter_async_context(node_running(self.app, settings, listener))

    async def stop(self) -> None:
        await self._node.aclose()


@pytest.fixture
async def ward() -> AsyncIterator[Ward]:
    ward = Ward()
    await ward.start()
    yield ward
    await ward.stop()


@pytest.fixture
def out() -> Output:
    return Output()


async def test_every_change_is_a_line(ward: Ward, out: Output) -> None:
    err = Output()

    async def change() -> None:
        await ward.beds.insert_one({"_id": "b1", "ward": "7"})
        await out.wait_for('added beds b1 {"ward":"7"}\n')
        await ward.beds.update_one({"_id": "b1"}, {"$set": {"label": "Bed 1"}})
        await out.wait_for('changed beds b1 {"label":"Bed 1"}\n')
        await ward.notes.insert_one({"_id": "n1"})
        await out.wait_for("added notes n1 {}\n")
        await ward.beds.delete_one({"_id": "b1"})
        await out.wait_for("removed beds b1\n")

    await first_of(watch(ward.url, "ward", ["7"], ChangeLines(out, err)), change())
    assert err.getvalue() == "● connecting\n● connected\n"


async def test_lost_connection_is_told_and_found_again(ward: Ward, out: Output) -> None:
    err = Output()

    async def restart() -> None:
        await err.wait_for("● connected\n")
        await ward.stop()
        await err.wait_for("● waiting, ")
        await ward.start()
        await ward.beds.insert_one({"_id": "b2", "ward": "7"})
        await out.wait_for("added beds b2")

    await first_of(watch(ward.url, "ward", ["7"], ChangeLines(out, err)), restart())


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("forbidden", MethodError),
        ("nothing", MethodError),
        ("brief", SubscriptionOver),
    ],
)
async def test_end_of_the_subscription_is_raised(
    ward: Ward, out: Output, name: str, error: type[Exception]
) -> None:
    with pytest.raises(error) as caught:
        await watch(ward.url, name, [], ChangeLines(out, out))
    assert str(caught.value)


async def test_server_that_cannot_be_reached_is_raised(ward: Ward, out: Output) -> None:
    with pytest.raises(ConnectionFailed):
        await watch(f"{ward.url}elsewhere", "ward", ["7"], ChangeLines(out, out))
    with pytest.raises(ConfigurationError):
        await watch("nowhere", "ward", ["7"], ChangeLines(out, out))


async def test_display_that_fails_ends_the_watching(ward: Ward) -> None:
    class Closed(StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    await ward.beds.insert_one({"_id": "b1", "ward": "7"})
    with pytest.raises(BrokenPipeError):
        await watch(ward.url, "ward", ["7"], ChangeLines(Closed(), Output()))


def _view(out: Output) -> LiveView:
    console = Console(file=out, force_terminal=True, width=60, height=20)
    return LiveView(console, "the title", lambda d: CollectionTables(d, reserved=HEAD_LINES))


async def test_live_view_draws_what_arrives(ward: Ward, out: Output) -> None:
    async def change() -> None:
        await out.wait_for("connected")
        await ward.beds.insert_one({"_id": "first-bed", "ward": "7"})
        await out.wait_for("first-bed")
        await ward.beds.insert_one({"_id": "second-bed", "ward": "7"})
        await out.wait_for("second-bed")

    await first_of(watch(ward.url, "ward", ["7"], _view(out)), change())
    assert "the title" in out.getvalue()


async def test_live_view_counts_down_while_there_is_no_connection(ward: Ward, out: Output) -> None:
    async def stop() -> None:
        await out.wait_for("connected")
        await ward.stop()
        # The first attempts follow each other at once, so the drawings of a longer wait are meant.
        await out.wait_for("next try in", times=5)

    await first_of(watch(ward.url, "ward", ["7"], _view(out)), stop())


async def test_display_may_end_before_the_client(ward: Ward) -> None:
    class Brief:
        async def show(self, client: Client) -> None:
            return

    display: Display = Brief()
    with pytest.raises(SubscriptionOver):
        await watch(ward.url, "brief", [], display)
