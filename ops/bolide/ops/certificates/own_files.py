"""Write files of keys and certificates: whole or not at all, and closed from the first byte."""

import os
from pathlib import Path
from typing import Final

__all__ = ["PRIVATE", "PUBLIC", "create_file", "replace_file"]

PRIVATE: Final = 0o600
PUBLIC: Final = 0o644


def create_file(path: Path, data: bytes, mode: int) -> None:
    """Write a file that must not exist.

    Args:
        path: Where.
        data: All of it.
        mode: Who may read it, whatever the mask of the process.

    Raises:
        FileExistsError: If there is something already; it stays.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(file.fileno(), mode)
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def replace_file(path: Path, data: bytes, mode: int) -> None:
    """Write a file in the place of another, or of none.

    Args:
        path: Where.
        data: All of it.
        mode: Who may read it.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    beside.unlink(missing_ok=True)
    create_file(beside, data, mode)
    beside.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
