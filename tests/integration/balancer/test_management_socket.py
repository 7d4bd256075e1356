"""The Unix socket of the management listener."""

import os
import socket
import stat
from pathlib import Path

import pytest

from bolide.balancer.management.unix_socket import management_socket
from bolide.core.errors import ConfigurationError


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_for_this_user_only_and_goes_with_the_block(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "management.sock"
    with management_socket(path) as listener:
        assert mode_of(path) == 0o600
        assert mode_of(path.parent) == 0o700
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(str(path))
            listener.accept()[0].close()
    assert not path.exists()


def test_one_that_was_left_behind_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "management.sock"
    with socket.socket(socket.AF_UNIX) as old:
        old.bind(str(path))
    with management_socket(path), socket.socket(socket.AF_UNIX) as client:
        client.connect(str(path))


def test_one_that_is_used_stays(tmp_path: Path) -> None:
    path = tmp_path / "management.sock"
    with (
        management_socket(path),
        pytest.raises(ConfigurationError, match="another balancer runs there"),
        management_socket(path),
    ):
        pass
    with management_socket(path):
        pass


def test_something_else_is_not_removed(tmp_path: Path) -> None:
    path = tmp_path / "management.sock"
    path.write_text("mine")
    with pytest.raises(ConfigurationError, match="no socket"), management_socket(path):
        pass
    assert path.read_text() == "mine"


def test_a_folder_that_others_write_to_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with (
        pytest.raises(ConfigurationError, match="chmod go-w"),
        management_socket(tmp_path / "management.sock"),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives folders away")
def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    os.chown(tmp_path, 65_534, 65_534)
    with (
        pytest.raises(ConfigurationError, match="of this user or of root: chown"),
        management_socket(tmp_path / "management.sock"),
    ):
        pass


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigurationError, match="a folder that can be made"),
        management_socket(tmp_path / "file" / "management.sock"),
    ):
        pass


def test_the_mask_of_the_process_is_as_it_was(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        with management_socket(tmp_path / "management.sock"):
            assert os.umask(0o022) == 0o022
    finally:
        os.umask(before)
