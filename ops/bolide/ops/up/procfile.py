"""The Procfile: which processes an app has, as foreman and honcho read it."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bolide.core.errors import ConfigurationError

__all__ = ["NODE", "Line", "parse_procfile", "read_procfile", "serialize_procfile"]

NODE: Final = "node"
"""Name of the line that is a node: it is run several times, behind a balancer."""

_LINE: Final = re.compile(r"([A-Za-z0-9_-]+):\s*(.*\S)\s*").fullmatch
_OUR_OWN: Final = re.compile(r"balancer|node[0-9]+").fullmatch


@dataclass(frozen=True, slots=True)
class Line:
    """A process.

    Attributes:
        name: Stands in front of what it says.
        command: For ``/bin/sh``.
    """

    name: str
    command: str


def read_procfile(file: Path) -> tuple[Line, ...]:
    """Read a file.

    Raises:
        ConfigurationError: If it cannot be read, or a line is none of a Procfile.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        raise ConfigurationError("Procfile", str(file), "a text file that can be read") from None
    return parse_procfile(text)


def parse_procfile(text: str) -> tuple[Line, ...]:
    """Read the lines of a Procfile; empty ones and comments (``#``) are passed over.

    Args:
        text: Of the file.

    Raises:
        ConfigurationError: If a line is none, a name is there twice or is one of ours, or there is
            no node.
    """
    lines: dict[str, Line] = {}
    for number, written in enumerate(text.splitlines(), 1):
        if not written.strip() or written.lstrip().startswith("#"):
            continue
        found = _LINE(written.strip())
        place = f"Procfile, line {number}"
        if found is None:
            # Not repeated: a command may hold a password.
            raise ConfigurationError(place, "(hidden)", "of the form NAME: COMMAND")
        name, command = found.groups()
        if name in lines:
            raise ConfigurationError(place, name, "a name that no other line has")
        if _OUR_OWN(name):
            raise ConfigurationError(
                place, name, "another name: `bolide up` starts the balancer itself, and calls"
                " nodes node1, node2 ..."
            )  # fmt: skip
        lines[name] = Line(name, command)
    if NODE not in lines:
        raise ConfigurationError(
            "Procfile", ", ".join(lines) or "empty", "one with a line such as"
            " `node: exec bolide run ward.app:app`"
        )  # fmt: skip
    return tuple(lines.values())


def serialize_procfile(lines: Iterable[Line], heading: str) -> str:
    """Write a Procfile.

    Args:
        lines: In the order in which they are to be started.
        heading: A comment of one line.
    """
    return "".join([f"# {heading}\n", *(f"{line.name}: {line.command}\n" for line in lines)])
