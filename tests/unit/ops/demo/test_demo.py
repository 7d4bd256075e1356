"""Demo: the ward lives at the first free port, and everything of it ends at a signal."""

import os
import signal
import sys
from contextlib import closing
from pathlib import Path

import pytest

from bolide.client import Client
from bolide.core.errors import ConfigurationError
from bolide.ops.demo import demo
from bolide.ops.demo.demo import examples_folder, run_demo, store_url
from bolide.ops.node.listener import bind
from bolide.ops.node.run import NOT_FOR_PHI
from bolide.ops.watch.watch import Display


class Witness:
    """Ends the demo as soon as every patient has readings."""

    async def show(self, client: Client) -> None:
        async for vitals in client.collection("vitals").find().results():
            if len(vitals) == 10:
                os.kill(os.getpid(), signal.SIGTERM)
                return


async def test_demo_ends_at_a_signal_with_the_ward_in_its_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", sys.path.copy())
    said: list[str] = []
    shown: list[str] = []

    def display(url: str) -> Display:
        shown.append(url)
        return Witness()

    with closing(bind("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        await run_demo(store_url(tmp_path), port, interval_s=1, display=display, say=said.append)
    assert said == [f"Ward board: {shown[0]}", NOT_FOR_PHI]
    assert int(shown[0].rstrip("/").rpartition(":")[2]) > port
    assert (tmp_path / "ward.db").is_file()


def test_examples_are_those_of_the_checkout() -> None:
    assert (examples_folder() / "ward" / "page" / "index.html").is_file()


def test_installation_without_examples_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "_PLACES", ())
    with pytest.raises(ConfigurationError, match="one with examples: install again"):
        examples_folder()


def test_folder_with_signs_of_urls_is_quoted(tmp_path: Path) -> None:
    assert store_url(tmp_path / "a b?") == f"sqlite:///{tmp_path}/a%20b%3F/ward.db"
