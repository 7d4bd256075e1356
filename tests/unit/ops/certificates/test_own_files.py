import os
from pathlib import Path

import pytest

from bolide.ops.certificates.own_files import PRIVATE, PUBLIC, create_file, replace_file


@pytest.fixture(autouse=True)
def _any_mask() -> object:
    mask = os.umask(0o077)
    yield
    os.umask(mask)


@pytest.mark.parametrize("mode", [PRIVATE, PUBLIC])
def test_a_file_has_its_mode_whatever_the_mask(tmp_path: Path, mode: int) -> None:
    create_file(tmp_path / "file", b"data", mode)
    assert (tmp_path / "file").read_bytes() == b"data"
    assert (tmp_path / "file").stat().st_mode & 0o777 == mode


def test_what_is_there_already_stays(tmp_path: Path) -> None:
    create_file(tmp_path / "file", b"first", PRIVATE)
    with pytest.raises(FileExistsError):
        create_file(tmp_path / "file", b"second", PRIVATE)
    assert (tmp_path / "file").read_bytes() == b"first"


def test_a_file_is_replaced_whole_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    for data in (b"first", b"second"):
        replace_file(tmp_path / "file", data, PUBLIC)
        assert (tmp_path / "file").read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_what_a_crash_left_beside_a_file_is_no_hindrance(tmp_path: Path) -> None:
    (tmp_path / f".file.{os.getpid()}").write_bytes(b"half of it")
    replace_file(tmp_path / "file", b"whole", PUBLIC)
    assert (tmp_path / "file").read_bytes() == b"whole"
