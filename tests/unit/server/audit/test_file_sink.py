"""The audit file: durable before the caller goes on, never changed."""

import asyncio
import errno
import json
import os
import stat
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest

from bolide.core.errors import ConfigurationError, StateError
from bolide.server.audit.file_sink import FileAuditSink
from bolide.server.audit.sink import AuditRecord, AuditSink


def make_record(what: str = "method move") -> AuditRecord:
    return AuditRecord(
        who="nurse",
        what=what,
        when_ms=5,
        where="10.0.0.1",
        outcome="allowed",
        ids=("a\n", "\u00fc"),
    )


def texts(path: Path) -> list[str]:
    return path.read_text().splitlines()


def lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in texts(path)]


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def crash_while_writing(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o600)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


@pytest.fixture
async def sink(path: Path) -> AsyncGenerator[FileAuditSink]:
    sink = FileAuditSink(path)
    yield sink
    await sink.close()


class Disk:
    """Counts what a sink asks of the disk, and fails on demand."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.written: list[bytes] = []
        self.syncs = 0
        self.room: int | None = None
        self.sync_fails = False
        self._write, self._fsync = os.write, os.fsync
        monkeypatch.setattr(os, "write", self.write)
        monkeypatch.setattr(os, "fsync", self.fsync)

    def write(self, descriptor: int, data: memoryview) -> int:
        if self.room is not None:
            if self.room == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            data = data[: self.room]
            self.room -= len(data)
        self.written.append(bytes(data))
        return self._write(descriptor, data)

    def fsync(self, descriptor: int) -> None:
        self.syncs += 1
        if self.sync_fails:
            raise OSError(errno.EIO, "Input/output error")
        self._fsync(descriptor)


async def test_a_record_is_a_json_line_of_its_owner(sink: FileAuditSink, path: Path) -> None:
    port: AuditSink = sink
    await port.record(make_record())
    assert lines(path) == [
        {
            "who": "nurse",
            "what": "method move",
            "when_ms": 5,
            "outcome": "allowed",
            "where": "10.0.0.1",
            "why": None,
            "collection": None,
            "ids": ["a\n", "\u00fc"],
            "fields": [],
        }
    ]
    assert mode_of(path) == 0o600


async def test_records_that_arrive_together_are_one_commit_in_order(
    sink: FileAuditSink, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    await asyncio.gather(*[sink.record(make_record(str(number))) for number in range(50)])
    assert [line["what"] for line in lines(path)] == [str(number) for number in range(50)]
    assert len(disk.written) == disk.syncs == 1


async def test_a_record_is_on_the_disk_when_record_returns(
    sink: FileAuditSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    for number in range(3):
        await sink.record(make_record())
        assert disk.syncs == number + 1


async def test_a_second_run_appends(path: Path) -> None:
    for what in ("first", "second"):
        sink = FileAuditSink(path)
        await sink.record(make_record(what))
        await sink.close()
    assert [line["what"] for line in lines(path)] == ["first", "second"]


async def test_a_line_cut_by_a_crash_does_not_spoil_the_next(path: Path) -> None:
    crash_while_writing(path, '{"who":"nur')
    sink = FileAuditSink(path)
    await sink.record(make_record())
    await sink.close()
    first, second = texts(path)
    assert first == '{"who":"nur'
    assert json.loads(second)["who"] == "nurse"


async def test_a_full_disk_is_an_error_until_there_is_room(
    sink: FileAuditSink, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    disk.room = 10
    results = await asyncio.gather(
        sink.record(make_record("lost")), sink.record(make_record("lost")), return_exceptions=True
    )
    assert [getattr(result, "errno", None) for result in results] == [errno.ENOSPC] * 2
    disk.room = None
    await sink.record(make_record("kept"))
    cut, kept = texts(path)
    assert len(cut) == 10
    assert json.loads(kept)["what"] == "kept"


async def test_a_short_write_goes_on(
    sink: FileAuditSink, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = os.write

    def write_some(descriptor: int, data: memoryview) -> int:
        return write(descriptor, data[:7])

    monkeypatch.setattr(os, "write", write_some)
    await sink.record(make_record("long"))
    assert [line["what"] for line in lines(path)] == ["long"]


async def test_after_a_failed_fsync_nothing_is_promised_any_more(
    sink: FileAuditSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = Disk(monkeypatch)
    disk.sync_fails = True
    with pytest.raises(OSError, match="Input/output"):
        await sink.record(make_record())
    disk.sync_fails = False
    with pytest.raises(OSError, match="Input/output"):
        await sink.record(make_record())


async def test_a_cancelled_caller_harms_no_other(sink: FileAuditSink, path: Path) -> None:
    first = asyncio.create_task(sink.record(make_record("first")))
    second = asyncio.create_task(sink.record(make_record("second")))
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert first.cancelled()
    assert [line["what"] for line in lines(path)] == ["first", "second"]


async def test_closing_waits_for_what_was_handed_in(path: Path) -> None:
    sink = FileAuditSink(path)
    recording = asyncio.create_task(sink.record(make_record()))
    await asyncio.sleep(0)
    await sink.close()
    await sink.close()
    await recording
    assert len(lines(path)) == 1
    with pytest.raises(StateError, match="closed"):
        await sink.record(make_record())


async def test_a_second_writer_is_refused(sink: FileAuditSink, path: Path) -> None:
    with pytest.raises(ConfigurationError, match="another one writes to it"):
        FileAuditSink(path)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_file_that_others_may_use_is_refused(path: Path, mode: int) -> None:
    path.touch()
    path.chmod(mode)
    with pytest.raises(ConfigurationError, match="chmod 600"):
        FileAuditSink(path)


def test_a_link_is_refused(path: Path, tmp_path: Path) -> None:
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="can be written"):
        FileAuditSink(path)


def test_what_is_no_file_is_refused(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="can be written"):
        FileAuditSink(path / "nowhere")
    os.mkfifo(path, 0o600)
    with pytest.raises(ConfigurationError, match="regular file"):
        FileAuditSink(path)
