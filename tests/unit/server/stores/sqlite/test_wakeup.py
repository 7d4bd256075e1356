import os
import select
import socket
from pathlib import Path

import pytest

from bolide.server.stores.sqlite.wakeup import WakeUp, listening_processes


def is_awake(wake_up: WakeUp) -> bool:
    return bool(select.select([wake_up], [], [], 0)[0])


def test_all_others_are_woken(tmp_path: Path) -> None:
    one, two, three = (WakeUp(tmp_path / "wake") for _ in range(3))
    one.wake_others()
    assert [is_awake(each) for each in (one, two, three)] == [False, True, True]
    one.wake_others()
    two.drain()
    assert not is_awake(two)
    for each in (one, two, three):
        each.close()


def test_a_full_socket_is_awake_anyway(tmp_path: Path) -> None:
    one, two = WakeUp(tmp_path / "wake"), WakeUp(tmp_path / "wake")
    for _ in range(2000):
        one.wake_others()
    assert is_awake(two)
    two.drain()
    assert not is_awake(two)
    one.close()
    two.close()


def test_sockets_of_dead_processes_are_removed(tmp_path: Path) -> None:
    one = WakeUp(tmp_path / "wake")
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    dead.bind(str(tmp_path / "wake" / "1-dead"))
    dead.close()
    assert len(list((tmp_path / "wake").iterdir())) == 2
    one.wake_others()
    assert len(list((tmp_path / "wake").iterdir())) == 1
    one.close()
    assert list((tmp_path / "wake").iterdir()) == []


def test_the_folder_is_private_even_if_it_was_not(tmp_path: Path) -> None:
    (tmp_path / "wake").mkdir(mode=0o755)
    WakeUp(tmp_path / "wake").close()
    assert (tmp_path / "wake").stat().st_mode & 0o777 == 0o700


def test_a_long_path_is_no_obstacle(tmp_path: Path) -> None:
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    one, two = WakeUp(folder / "wake"), WakeUp(folder / "wake")
    one.wake_others()
    assert is_awake(two)
    one.close()
    two.close()


def test_where_no_folder_can_be_made_there_is_no_socket(tmp_path: Path) -> None:
    (tmp_path / "wake").write_text("a file")
    with pytest.raises(FileExistsError):
        WakeUp(tmp_path / "wake")


def test_closing_twice_removed_sockets_is_no_error(tmp_path: Path) -> None:
    one = WakeUp(tmp_path / "wake")
    for path in (tmp_path / "wake").iterdir():
        path.unlink()
    one.close()


def test_where_no_socket_can_be_bound_nothing_is_left_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without the folder of descriptors, as on other systems, a long path does not fit.
    def nothing_is_a_folder(path: str) -> bool:
        return not path

    monkeypatch.setattr("os.path.isdir", nothing_is_a_folder)
    folder = tmp_path / ("x" * 120)
    folder.mkdir()
    with pytest.raises(OSError, match="too long"):
        WakeUp(folder / "wake")


def test_living_sockets_tell_their_processes_and_dead_ones_do_not(tmp_path: Path) -> None:
    folder = tmp_path / "wake"
    assert listening_processes(folder) == []
    one, two = WakeUp(folder), WakeUp(folder)
    (folder / "not a socket").touch()
    dead = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    dead.bind(str(folder / "1-dead"))
    dead.close()
    assert listening_processes(folder) == [os.getpid(), os.getpid()]
    two.close()
    assert listening_processes(folder) == [os.getpid()]
    one.close()
