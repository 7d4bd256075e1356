"""A ward served by processes of its own, and a Chromium that looks at its board."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Self

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, async_playwright, expect

__all__ = ["Node", "OpenBoard", "StartNode"]

EXAMPLES = Path(__file__).parents[2] / "examples"
TIMEOUT_S = 30 * float(os.environ.get("BOLIDE_TESTS_TIMEOUT_FACTOR", "1"))
ARGUMENTS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)

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
                self.url = next((word for word in line.split() if word.startswith("http://")), "")


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

    async def monitors(self, url: str) -> None:
        """Start the monitor gateway, which outlives the server."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "ward.monitor", url, "--interval", "0.1"),
            env={**os.environ, "PYTHONPATH": str(EXAMPLES)},
        )

        async def stop() -> None:
            process.send_signal(signal.SIGINT)
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
        page = await self._browser.new_page(viewport={"width": width, "height": height})
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
