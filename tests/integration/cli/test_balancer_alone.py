"""The page on other people's applications, followed word for word."""

import json
import re
import ssl
import subprocess
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
from tests.integration.balancer.processes import program, until
from tests.integration.cli.conftest import Start
from tests.ports import free_ports
from websockets.asyncio.client import connect

PAGE = Path(__file__).parents[3] / "docs" / "topics" / "balancer-alone.md"


@pytest.fixture
def page() -> str:
    """Return the page, with ports that are free here."""
    text = PAGE.read_text()
    for written, free in zip(("8443", "8001", "8002"), free_ports(3), strict=True):
        text = text.replace(written, str(free))
    return text


@pytest.fixture
def folder(page: str, tmp_path: Path) -> Path:
    """Write the files that the page tells to write, and run the commands that make others."""
    for kind, name in (("python", "chat.py"), ("toml", "balancer.toml")):
        (found,) = re.findall(rf"```{kind}\n# {name}\n(.*?)```", page, re.DOTALL)
        (tmp_path / name).write_text(found)
    (commands,) = re.findall(r"```sh\n(umask .*?)```", page, re.DOTALL)
    subprocess.run(commands, shell=True, cwd=tmp_path, check=True, capture_output=True)
    return tmp_path


@pytest.fixture
async def url(page: str, folder: Path, bolide: Start) -> AsyncGenerator[str]:
    """Run what the page tells to run."""
    (commands,) = re.findall(r"```sh\n(uvicorn .*?)```", page, re.DOTALL)
    async with AsyncExitStack() as stack:
        *nodes, last = [line.split() for line in commands.splitlines()]
        for words in nodes:
            await stack.enter_async_context(program("-m", *words, folder=folder))
        balancer = await bolide(*last[1:], folder=folder)
        port = (await balancer.said(r"balances at 127\.0\.0\.1:(\d+)"))[1]

        async def are_up() -> bool:
            words = re.findall(r"`bolide (top .*?)` shows", page)[0].split()
            told = await bolide(*words, "--json", folder=folder)
            assert await told.status() == 0
            await told.said(r"\}\s*$")
            return {row["state"] for row in json.loads(told.out)["nodes"]} == {"up"}

        await until(are_up)
        yield f"https://localhost:{port}"


async def test_an_application_of_somebody_else_is_served(url: str, folder: Path) -> None:
    context = ssl.create_default_context(cafile=str(folder / "localhost.pem"))
    async with httpx.AsyncClient(verify=context, base_url=url) as client:
        answer = await client.get("/healthz")
        assert answer.text == "ok"
        cookie = f"__Host-bolide_lb={client.cookies['__Host-bolide_lb']}"
    chat = f"wss{url.removeprefix('https')}/chat"
    async with AsyncExitStack() as stack:
        talkers = [
            await stack.enter_async_context(
                connect(chat, ssl=context, additional_headers={"Cookie": cookie})
            )
            for _ in range(6)
        ]
        await talkers[0].send("hello")
        # With the cookie of one of them, all are in the same process.
        assert [await talker.recv() for talker in talkers] == ["hello"] * 6
