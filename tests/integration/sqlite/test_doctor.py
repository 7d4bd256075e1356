"""`bolide doctor --store` on real files: in use, closed, damaged, of others."""

import asyncio
import os
import re
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest
from tests.integration.sqlite.conftest import OpenFile, StartWorker
from tests.integration.stores.support import contents, insert

from bolide.server.stores.sqlite import SQLiteStore


async def doctor(path: Path) -> tuple[int, dict[str, str], str]:
    """Run the command; returns its status, the rows on the store and what it complained of."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bolide.ops", "doctor", "--store"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**environment, "BOLIDE_STORE": f"sqlite:///{path}"},
        cwd=path.parent,
    )
    out, err = await process.communicate()
    _, _, store = out.decode().partition("\nStore\n")
    rows = re.findall(r"^  (  \w+|\w+(?: \w+)*) {2,}(.*)$", store, re.M)
    return process.returncode or 0, dict(rows), err.decode()


def state_of(path: Path) -> tuple[bytes, set[str]]:
    """Return the contents of the file, and the names of all files beside it."""
    return path.read_bytes(), {each.name for each in path.parent.iterdir()}


async def test_a_file_in_use_is_examined_while_nodes_write(
    open_file: OpenFile, start_worker: StartWorker, path: Path
) -> None:
    store = await open_file(history=50)
    await insert(store, *({"_id": id, "name": "Ada"} for id in range(200)))
    worker = await start_worker("crowd")
    await worker.hear("done")
    status, rows, err = await doctor(path)
    assert (status, err) == (0, "")
    assert rows["state"] == "sound"
    assert rows["processes"].startswith("2 (")
    assert str(worker.process.pid) in rows["processes"]
    assert re.fullmatch(r"\d+; \d+ are kept, the oldest is \d+", rows["changes"])
    assert rows["  beds"] == "200 in 5.6 kB"
    assert "records" in {name.strip() for name in rows}
    assert "Ada" not in str(rows)
    # It disturbed nobody.
    await worker.hear("done")
    assert len(await contents(store)) == 200


async def test_a_file_that_nobody_has_open_is_left_as_it_is(path: Path) -> None:
    store = SQLiteStore(path)
    await store.open()
    await insert(store, {"_id": 1})
    await store.close()
    before = state_of(path)
    status, rows, _ = await doctor(path)
    assert (status, rows["state"], rows["processes"]) == (0, "sound", "none")
    assert state_of(path) == before


async def test_the_log_of_a_killed_process_is_read_too(
    start_worker: StartWorker, path: Path
) -> None:
    worker = await start_worker("record", "5")
    for _ in range(5):
        await worker.hear("done")
    worker = await start_worker("record")
    await worker.hear("done")
    worker.process.kill()
    await worker.process.wait()
    status, rows, _ = await doctor(path)
    assert (status, rows["processes"]) == (0, "none")
    assert int(rows["  records"].split()[0]) >= 6


@pytest.mark.parametrize("damage", ["letter", "page", "program", "version"])
async def test_a_file_that_cannot_be_used_is_a_status_of_1(path: Path, damage: str) -> None:
    store = SQLiteStore(path)
    await store.open()
    await insert(store, *({"_id": id, "name": f"Ada {id}"} for id in range(300)))
    await store.close()
    spoil(path, damage)
    status, rows, err = await doctor(path)
    assert status == 1
    assert rows["state"].startswith("not usable")
    told = {
        "letter": "not as they were written",
        "page": "",
        "program": "another program's database",
        "version": "a newer Bolide wrote it",
    }
    assert told[damage] in rows["problem"]
    assert "Ad" not in rows["problem"]
    assert err.startswith("bolide: The store is not usable")


def spoil(path: Path, damage: str) -> None:
    if damage in ("program", "version"):
        name = "application_id" if damage == "program" else "user_version"
        with closing(sqlite3.connect(path, isolation_level=None)) as connection:
            connection.execute(f"PRAGMA {name} = 99")
        return
    content = bytearray(path.read_bytes())
    if damage == "letter":
        place = content.find(b"Ada 142")
        content[place + 2 : place + 3] = b"e"
    else:
        # The head of every page in the second half.
        for start in range(len(content) // 8192 * 4096, len(content), 4096):
            content[start : start + 16] = b"\xff" * 16
    path.write_bytes(content)
