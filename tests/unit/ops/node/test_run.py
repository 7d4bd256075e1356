"""Run: the operator reads where the node listens, and a signal ends it."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.certificates import Authority

from bolide.core.errors import ConfigurationError
from bolide.ops.node.listener import bind
from bolide.ops.node.run import (
    INSECURE_DEV,
    NOT_FOR_PHI,
    NOT_SHOWN,
    PLAIN_HTTP,
    run_node,
    run_node_reloading,
    settings_for,
)
from bolide.server import App, Settings


def _stop(_line: str) -> None:
    os.kill(os.getpid(), signal.SIGTERM)


async def test_node_tells_where_it_listens_and_ends_at_a_signal() -> None:
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if len(lines) == 4:
            _stop(line)

    settings = Settings(host="localhost", port=0, store="memory:", management_port=0)
    async with asyncio.timeout(20):
        await run_node("ward.app:app", App(), settings, say)
    assert re.fullmatch(r"Bolide [\d.]+ serves ward\.app:app at http://localhost:\d+/", lines[0])
    assert re.fullmatch(r"Health and metrics: http://127\.0\.0\.1:\d+/readyz", lines[1])
    assert lines[2:] == [PLAIN_HTTP, NOT_FOR_PHI]


@pytest.mark.parametrize(("lifetime_days", "warnings"), [(100, 0), (1, 1)])
async def test_node_with_tls_tells_of_its_certificate(
    tmp_path: Path, lifetime_days: int, warnings: int
) -> None:
    ends = datetime.now(UTC) + timedelta(days=lifetime_days, hours=1)
    files = Authority(tmp_path).issue(not_after=ends)
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if line == NOT_FOR_PHI:
            _stop(line)

    settings = Settings(port=0, store="memory:", tls_cert=files.cert, tls_key=files.key)
    async with asyncio.timeout(20):
        await run_node("ward.app:app", App(), settings, say)
    assert re.fullmatch(r".* at https://127\.0\.0\.1:\d+/", lines[0])
    told = ["Warning: the certificate expires in 1 day."]
    assert lines[1:] == [*told[:warnings], NOT_FOR_PHI]


@pytest.mark.parametrize(("is_shown", "told"), [(True, INSECURE_DEV), (False, NOT_SHOWN)])
async def test_insecure_development_is_told_as_it_is(
    monkeypatch: pytest.MonkeyPatch, is_shown: bool, told: str
) -> None:
    monkeypatch.setattr("bolide.ops.node.run.shows_texts", lambda: is_shown)
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if line == NOT_FOR_PHI:
            _stop(line)

    settings = Settings(port=0, store="memory:", insecure_dev=True)
    async with asyncio.timeout(20):
        await run_node("ward.app:app", App(), settings, say)
    assert told in lines
    assert len({INSECURE_DEV, NOT_SHOWN} & set(lines)) == 1


async def test_management_port_in_use_is_named() -> None:
    with closing(bind("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        settings = Settings(port=0, store="memory:", management_port=port)
        with pytest.raises(ConfigurationError, match=f"^management_port is {port}, but must be a"):
            await run_node("ward.app:app", App(), settings, _stop)


async def test_management_port_that_is_the_nodes_own_is_named_as_such() -> None:
    with closing(bind("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
    settings = Settings(port=port, store="memory:", management_port=port)
    with pytest.raises(ConfigurationError, match=rf"^management_port is {port}, .* node's own, at"):
        await run_node("ward.app:app", App(), settings, _stop)


def test_settings_of_the_app_are_changed_by_flags_only() -> None:
    read = Settings(port=1)
    assert settings_for(App(), read, {"port": 2}) is read
    own = App(Settings(host="::1", port=3))
    assert settings_for(own, read, {"port": 4, "store": None}) == Settings(host="::1", port=4)


async def test_reloading_passes_the_flags_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[list[str]] = []

    async def record(command: list[str], folder: Path, say: Callable[[str], object]) -> None:
        started.append(command)
        say("Changed.")

    monkeypatch.setattr("bolide.ops.node.run.run_reloading", record)
    said: list[str] = []
    flags = {"port": 0, "management_port": 9000, "insecure_dev": True, "store": None}
    await run_node_reloading("a:b", tmp_path, flags, said.append)
    assert started == [
        [sys.executable, "-m", "bolide.ops", "run", "a:b", "--app-dir", str(tmp_path),
         "--port", "0", "--management-port", "9000", "--insecure-dev"]
    ]  # fmt: skip
    assert said == [f"Watching {tmp_path} for changes.", "Changed."]


async def test_a_node_without_its_redis_says_so() -> None:
    lines: list[str] = []

    def say(line: str) -> None:
        lines.append(line)
        if line == NOT_FOR_PHI:
            _stop(line)

    # Nobody listens on port 1.
    settings = Settings(port=0, store="memory:", redis="redis://127.0.0.1:1")
    async with asyncio.timeout(20):
        await run_node("ward.app:app", App(), settings, say)
    assert lines[2] == (
        "Warning: Redis has no connection. The node goes on without it, and looks for it."
    )
