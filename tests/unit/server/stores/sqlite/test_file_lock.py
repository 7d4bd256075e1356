import os
import threading
from pathlib import Path

import pytest

from bolide.server.stores.sqlite.file_lock import FileLock


def test_one_holder_at_a_time(tmp_path: Path) -> None:
    one, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert one.try_acquire()
    assert not other.try_acquire()
    one.release()
    assert other.try_acquire()
    one.close()
    other.close()


def test_who_waits_gets_the_lock_when_it_is_released(tmp_path: Path) -> None:
    one, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    one.acquire(10)
    acquired = threading.Event()
    other.wait(acquired.set)
    assert not acquired.is_set()
    one.release()
    assert acquired.wait(10)
    assert not one.try_acquire()
    one.close()
    other.close()


def test_who_has_waited_long_enough_is_told_who_holds_it(tmp_path: Path) -> None:
    one, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    assert other.holder() is None
    one.acquire(10)
    assert other.holder() == os.getpid()
    with pytest.raises(TimeoutError, match=f"process {os.getpid()} holds"):
        other.acquire(0)
    other.close()
    one.close()


def test_closing_lets_go(tmp_path: Path) -> None:
    one, other = FileLock(tmp_path / "lock"), FileLock(tmp_path / "lock")
    one.acquire(10)
    one.close()
    assert other.try_acquire()
    other.close()


def test_the_file_is_private(tmp_path: Path) -> None:
    FileLock(tmp_path / "lock").close()
    assert (tmp_path / "lock").stat().st_mode & 0o777 == 0o600
