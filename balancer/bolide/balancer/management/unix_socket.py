"""The Unix socket of the management listener: for this user, and nobody else."""

import os
import socket
import stat
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from bolide.core.errors import ConfigurationError

__all__ = ["management_socket"]

_BACKLOG: Final = 16
_ROOT: Final = 0
_NOT_OURS: Final = stat.S_IWGRP | stat.S_IWOTH
_CONNECT_TIMEOUT_S: Final = 1.0


@contextmanager
def management_socket(path: Path) -> Generator[socket.socket]:
    """Listen at a path for the time of the block.

    Args:
        path: Of the socket; its folder is made if there is none.

    Raises:
        ConfigurationError: If the folder is open to others or cannot be made, or something else
            is there.
    """
    _check_folder(path)
    _remove_stale(path)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    with listener:
        # There is no moment in which others could connect.
        before = os.umask(0o177)
        try:
            listener.bind(str(path))
        except OSError as error:
            raise _refusal(path, f"a place for a socket ({error.strerror})") from None
        finally:
            os.umask(before)
        try:
            listener.listen(_BACKLOG)
            yield listener
        finally:
            with suppress(FileNotFoundError):
                path.unlink()


def _check_folder(path: Path) -> None:
    folder = path.parent
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        found = folder.stat()
    except OSError as error:
        why = f"in a folder that can be made or used ({error.strerror}: {folder})"
        raise _refusal(path, why) from None
    if found.st_uid not in (_ROOT, os.geteuid()):
        raise _refusal(path, f"in a folder of this user or of root: chown {folder}")
    if found.st_mode & _NOT_OURS:
        why = f"in a folder that nobody else may write to: chmod go-w {folder}"
        raise _refusal(path, why)


def _remove_stale(path: Path) -> None:
    """Remove the socket of a balancer that did not end well; one that runs keeps its own."""
    try:
        if not stat.S_ISSOCK(path.lstat().st_mode):
            raise _refusal(path, "free: there is something that is no socket")
    except FileNotFoundError:
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as attempt:
        attempt.settimeout(_CONNECT_TIMEOUT_S)
        try:
            attempt.connect(str(path))
        except (ConnectionRefusedError, FileNotFoundError):
            with suppress(FileNotFoundError):
                path.unlink()
            return
        except OSError:
            pass  # somebody is there, and busy
    raise _refusal(path, "free: another balancer runs there; stop it or take another path")


def _refusal(path: Path, expected: str) -> ConfigurationError:
    return ConfigurationError("management", str(path), expected)
