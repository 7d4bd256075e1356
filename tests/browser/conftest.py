"""A ward served by processes of its own, and a Chromium that looks at its board."""

import asyncio
import os
import re
import shutil
import signal
import sys
from collections.abc import AsyncGenerator, Generator
from contextlib import AsyncExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Self

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

from bolide.ops.balancer.management import ask

__all__ = ["Cluster", "Node", "OpenBoard", "StartNode"]

EXAMPLES = Path(__file__).parents[2] / "examples"
TIMEOUT_S = 30 * float(os.environ.get("BOLIDE_TESTS_TIMEOUT_FACTOR", "1"))
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

_IS_URL = re.compile("https?://").match

expect.set_options(timeout=TIMEOUT_S * 1000)


class Node:
    """A server in a process of its own.

    Attributes:
        url: Where its board is.
    """

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.url = ""

    @classmethod
    async def start(cls, *arguments: str) -> Self:
        """Start ``bolide`` and wait until it says where it listens."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bolide.ops", *arguments), stdout=asyncio.subprocess.PIPE
        )
        node = cls(process)
        try:
            await node._read_url()
        except BaseException:
            await node.stop()
            raise
        return node

    @property
    def port(self) -> int:
        return int(self.url.rstrip("/").rpartition(":")[2])

    def freeze(self) -> None:
        """Make it silent, as a cut cable would."""
        self._process.send_signal(signal.SIGSTOP)

    def kill(self) -> None:
        """End it in the middle of what it does."""
        self._process.kill()

    def thaw(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        """Ask it to end, and wait until it has."""
        if self._process.returncode is None:
            self.thaw()
            self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(TIMEOUT_S):
            await self._process.communicate()

    async def _read_url(self) -> None:
        assert self._process.stdout is not None
        async with asyncio.timeout(TIMEOUT_S):
            while not self.url:
                line = (await self._process.stdout.readline()).decode()
                assert line, "the server ended before it listened"
                self.url = next((word for word in line.split() if _IS_URL(word)), "")


class Cluster:
    """What ``bolide up`` runs.

    Attributes:
        url: Where its board is.
    """

    def __init__(self, process: asyncio.subprocess.Process, state: Path) -> None:
        self.url = ""
        self._process = process
        self._state = state
        self._said = ""
        self._news = asyncio.Event()
        self._reading = asyncio.create_task(self._read())

    @classmethod
    async def start(cls, folder: Path, store: str) -> Self:
        state = folder / "state"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bolide.ops", "up", "ward.app:app", "--port", "0"),
            *("--app-dir", str(EXAMPLES), "--state", str(state), "--workers", "1"),
            env={**os.environ, "BOLIDE_STORE": store},
            stdout=asyncio.subprocess.PIPE,
        )
        cluster = cls(process, state)
        try:
            cluster.url = (await cluster.said(r"serves at (https://\S+) with 2 nodes"))[1]
        except BaseException:
            await cluster.stop()
            raise
        return cluster

    async def said(self, pattern: str) -> re.Match[str]:
        """Wait until it has said something; return it."""
        async with asyncio.timeout(TIMEOUT_S * 2):
            while not (found := re.search(pattern, self._said)):
                self._news.clear()
                assert self._process.returncode is None, self._said
                await self._news.wait()
        return found

    async def ask(self, path: str, wish: object = None) -> Any:
        """Ask the balancer's management socket."""
        return await asyncio.to_thread(ask, self._state / "management.sock", path, wish)

    async def busy_node(self, *, but: str = "") -> str:
        """Wait until one node carries all connections, and another one than that; return it."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                rows = (await self.ask("/nodes"))["nodes"]
                busy = [str(row["name"]) for row in rows if row["connections"]]
                if len(busy) == 1 and busy != [but]:
                    return busy[0]

    async def quiet_node(self, name: str) -> None:
        """Wait until a node carries no connection."""
        async with asyncio.timeout(TIMEOUT_S):
            while True:
                rows = (await self.ask("/nodes"))["nodes"]
                if not next(row["connections"] for row in rows if row["name"] == name):
                    return

    async def kill(self, name: str) -> None:
        """End a node in the middle of what it does."""
        os.kill(_pid_of(self._state / "cluster" / f"{name}.pem"), signal.SIGKILL)

    @contextmanager
    def starting_nothing(self) -> Generator[None]:
        """Let nothing that ended be started again in the block."""
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    async def stop(self) -> None:
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(TIMEOUT_S):
            await self._process.wait()
            await self._reading

    async def _read(self) -> None:
        assert self._process.stdout is not None
        while line := await self._process.stdout.readline():
            self._said += line.decode()
            self._news.set()
        await self._process.wait()
        self._news.set()


def _pid_of(certificate: Path) -> int:
    """Return the number of the node that has a certificate."""
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if f"BOLIDE_TLS_CERT={certificate}".encode() in (place / "environ").read_bytes():
                return int(place.name)
    pytest.fail(f"no node has {certificate}")


class StartNode:
    """Starts servers of the ward app, all on one store.

    Args:
        stack: Ends them.
        store: URL of the store.
    """

    def __init__(self, stack: AsyncExitStack, store: str) -> None:
        self._stack = stack
        self._store = store

    async def __call__(self, port: int = 0) -> Node:
        node = await Node.start(
            *("run", "ward.app:app", "--app-dir", str(EXAMPLES), "--store", self._store),
            *("--port", str(port), "--management-port", "0"),
        )
        self._stack.push_async_callback(node.stop)
        return node

    async def demo(self, folder: Path) -> Node:
        """Start what ``bolide demo`` starts."""
        node = await Node.start("demo", "--port", "0", "--interval", "0.1", "--store", str(folder))
        self._stack.push_async_callback(node.stop)
        return node

    async def cluster(self, folder: Path) -> "Cluster":
        """Start two nodes behind a balancer, and wait until clients find them."""
        cluster = await Cluster.start(folder, self._store)
        self._stack.push_async_callback(cluster.stop)
        return cluster

    async def monitors(self, url: str) -> None:
        """Start the monitor gateway, which outlives the server."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ward.monitor", url, "--interval", "0.1"),
            env={**os.environ, "PYTHONPATH": str(EXAMPLES)},
        )

        async def stop() -> None:
            process.terminate()
            async with asyncio.timeout(TIMEOUT_S):
                await process.wait()

        self._stack.push_async_callback(stop)


class OpenBoard:
    """Opens pages, and remembers what the browser had to complain of.

    Args:
        browser: Where; each page is a person of its own.
        stack: Closes them.
    """

    def __init__(self, browser: Browser, stack: AsyncExitStack) -> None:
        self._browser = browser
        self._stack = stack
        self.complaints: list[str] = []

    async def __call__(
        self, url: str, *, width: int = 1280, height: int = 800, own_clock: bool = False
    ) -> Page:
        """Open the board and wait until it is live.

        Args:
            url: Where it is.
            width: Of the window, pixels.
            height: Of the window, pixels.
            own_clock: Let the test move the page's clock.
        """
        page = await self._browser.new_page(
            viewport={"width": width, "height": height},
            # An authority made by `bolide up` is in no browser; the tests of clients look at it.
            ignore_https_errors=True,
        )
        self._stack.push_async_callback(page.close)
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        if own_clock:
            await page.clock.install()
        await page.goto(url)
        await expect(page.locator("#status")).to_have_text("live")
        return page

    def _note(self, message: ConsoleMessage) -> None:
        # Chromium itself reports each attempt in vain; no page can keep it from doing so.
        in_vain = message.text.startswith("WebSocket connection to")
        if message.type in ("error", "warning") and not in_vain:
            self.complaints.append(message.text)


# One loop for all tests of a module, so that they can share a browser.
@pytest_asyncio.fixture(loop_scope="module")
async def start_node(tmp_path: Path) -> AsyncGenerator[StartNode]:
    async with AsyncExitStack() as stack:
        yield StartNode(stack, f"sqlite:///{tmp_path / 'ward.db'}")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def ward(tmp_path_factory: pytest.TempPathFactory) -> AsyncGenerator[Node]:
    """Yield a server for tests that do not mind what others did to its ward."""
    async with AsyncExitStack() as stack:
        store = f"sqlite:///{tmp_path_factory.mktemp('ward') / 'ward.db'}"
        yield await StartNode(stack, store)()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def browser() -> AsyncGenerator[Browser]:
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        missing = "Chromium is not installed (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS) as browser,
    ):
        yield browser


@pytest_asyncio.fixture(loop_scope="module")
async def open_board(browser: Browser) -> AsyncGenerator[OpenBoard]:
    """Yield a function that opens pages; a complaint of the browser fails the test."""
    async with AsyncExitStack() as stack:
        opener = OpenBoard(browser, stack)
        yield opener
        assert opener.complaints == []
