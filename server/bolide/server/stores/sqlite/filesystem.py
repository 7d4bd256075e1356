"""Which file system a path is on, to refuse those on which SQLite loses data."""

import re
from pathlib import Path
from typing import Final

__all__ = ["NETWORK_FILE_SYSTEMS", "file_system_of", "read_mounts"]

NETWORK_FILE_SYSTEMS: Final = frozenset(
    {
        "9p",
        "afs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "fuse.ceph-fuse",
        "fuse.davfs",
        "fuse.glusterfs",
        "fuse.rclone",
        "fuse.s3fs",
        "fuse.sshfs",
        "gfs2",
        "glusterfs",
        "gpfs",
        "lustre",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "smb3",
        "smbfs",
    }
)
"""Types, as Linux names them, where locks or shared memory do not reach other machines."""

_ESCAPE: Final = re.compile(r"\\([0-7]{3})")


def read_mounts(path: str = "/proc/self/mountinfo") -> str:
    """Return the kernel's list of mounts; empty where there is none (not Linux)."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


def file_system_of(path: Path, mounts: str) -> str | None:
    """Return the type of the file system that holds a path.

    Args:
        path: Absolute, without symbolic links.
        mounts: Text of ``/proc/self/mountinfo``; format: proc(5).

    Returns:
        A type such as ``ext4``; None if it is not known.
    """
    best, found = -1, None
    for line in mounts.splitlines():
        place, _, kind = line.partition(" - ")
        fields = place.split(" ")
        point = _unescape(fields[4])
        # Of two mounts at one point the later one is seen.
        if path.is_relative_to(point) and len(point) >= best:
            best, found = len(point), kind.split(" ")[0]
    return found


def _unescape(text: str) -> str:
    r"""Undo mountinfo's ``\040`` for blanks and the like."""
    return _ESCAPE.sub(lambda escape: chr(int(escape[1], 8)), text)
