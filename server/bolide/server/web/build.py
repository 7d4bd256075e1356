"""The build: a short name for what a node serves to browsers.

A page that was loaded under another build than the one its session is told of is old.
"""

import os
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path

__all__ = ["build_of"]

_DIGITS = 16


def build_of(pages: Path | None) -> str:
    """Return the build of a release with these pages, 16 hex digits.

    Args:
        pages: Folder of the pages, None if there are none. Two nodes with the same files have the
            same build, whatever the files' times.
    """
    digest = sha256(version("bolide").encode())
    files = [] if pages is None else sorted(path for path in pages.rglob("*") if path.is_file())
    for path in files:
        content = sha256(path.read_bytes()).digest()
        digest.update(os.fsencode(path.relative_to(pages or path)) + b"\0" + content)
    return digest.hexdigest()[:_DIGITS]
