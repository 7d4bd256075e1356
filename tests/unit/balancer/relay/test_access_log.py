import os
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from bolide.balancer.relay.access_log import AccessLog, Entry, begin_of_line
from bolide.balancer.relay.event_loop import EventLoop
from bolide.balancer.relay.log_file import LogFile

_BEGIN = begin_of_line(Entry(client="203.0.113.9", path="/" + "x" * 15_000, status=200))


def _said(log: AccessLog, count: int) -> None:
    for _ in range(count):
        log.write(_BEGIN, 1, 2, 0.0)
        log.flush()


def _read(reader: int) -> bytes:
    data = b""
    try:
        while piece := os.read(reader, 65_536):
            data += piece
    except BlockingIOError:
        pass
    return data


def test_a_pipe_that_nobody_reads_loses_lines_and_cuts_none(tmp_path: Path) -> None:
    pipe = tmp_path / "access.pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    log = AccessLog(EventLoop(), LogFile(str(pipe)))
    try:
        _said(log, 10)
        lost = log.lost
        assert 0 < lost < 10
        read = _read(reader)
        _said(log, 1)
        read += _read(reader)
        assert log.lost == lost
        lines = read.splitlines()
        assert len(lines) == 11 - lost
        assert {msgspec.json.decode(line)["client"] for line in lines} == {"203.0.113.9"}
    finally:
        log.close()
        os.close(reader)


def _a_pipe() -> tuple[int, int]:
    reader, writer = os.pipe()
    return reader, writer


def _a_socket() -> tuple[int, int]:
    ours, theirs = socket.socketpair()
    return ours.detach(), theirs.detach()


def _a_terminal() -> tuple[int, int]:
    return os.openpty()


@pytest.mark.parametrize("make", [_a_pipe, _a_socket, _a_terminal])
def test_standard_output_that_nobody_reads_takes_what_it_can(
    make: Callable[[], tuple[int, int]], monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, writer = make()
    with os.fdopen(reader, "rb", buffering=0), os.fdopen(writer, "w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        file = LogFile("-")
        try:
            assert file.write(b"first\n") == 6
            while file.write(b"x" * 4096):
                pass
            # It is shared with other processes, which may rely on that.
            assert os.get_blocking(writer)
        finally:
            file.close()
            monkeypatch.undo()


def test_standard_output_on_a_disk_is_one_with_that_of_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "out.txt"
    with place.open("w") as output:
        monkeypatch.setattr(sys, "stdout", output)
        file = LogFile("-")
        file.write(b"first\n")
        os.write(output.fileno(), b"second\n")
        file.write(b"third\n")
        file.close()
        monkeypatch.undo()
    assert place.read_text() == "first\nsecond\nthird\n"
