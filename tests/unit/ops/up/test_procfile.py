"""Procfiles: what foreman and honcho read, and one line that is a node."""

import subprocess
import sys
from pathlib import Path

import pytest

from bolide.core.errors import ConfigurationError
from bolide.ops.up.procfile import Line, parse_procfile, read_procfile, serialize_procfile

_ROOT = Path(__file__).parents[4]

TEXT = """
# Of the ward
node: exec bolide run --app-dir examples ward.app:app
monitor:   python -m ward.monitor "$BOLIDE_PUBLIC_URL" --interval 1

clock-2: while true; do date; sleep 60; done
"""


def honcho_names(text: str, folder: Path) -> str:
    """Return what honcho says of a file."""
    (folder / "Procfile").write_text(text)
    checked = subprocess.run(
        [sys.executable, "-m", "honcho", "check"], cwd=folder, capture_output=True, check=True
    )
    return checked.stderr.decode() + checked.stdout.decode()


def test_lines_are_read_as_honcho_reads_them(tmp_path: Path) -> None:
    assert "Valid procfile detected (node, monitor, clock-2)" in honcho_names(TEXT, tmp_path)
    lines = parse_procfile(TEXT)
    assert [line.name for line in lines] == ["node", "monitor", "clock-2"]
    assert lines[1].command == 'python -m ward.monitor "$BOLIDE_PUBLIC_URL" --interval 1'


def test_what_is_written_is_read_again_by_both(tmp_path: Path) -> None:
    lines = parse_procfile(TEXT)
    written = serialize_procfile(lines, "Made by a test.")
    assert parse_procfile(written) == lines
    assert "(node, monitor, clock-2)" in honcho_names(written, tmp_path)


def test_the_one_of_this_repository_has_a_node() -> None:
    assert read_procfile(_ROOT / "Procfile")[0].name == "node"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("node: a\nbolide run", "Procfile, line 2 is .*must be of the form NAME: COMMAND"),
        ("node:", "line 1 is .*of the form"),
        ("node: a\nnode: b", "line 2 is 'node', but must be a name that no other line has"),
        ("node: a\nbalancer: b", "line 2 is 'balancer', but must be another name"),
        ("node1: a", "line 1 is 'node1', but must be another name"),
        ("web: a", "Procfile is 'web', but must be one with a line such as"),
        ("", "Procfile is 'empty'"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused(text: str, problem: str) -> None:
    with pytest.raises(ConfigurationError, match=problem):
        parse_procfile(text)


def test_a_line_that_is_none_is_not_repeated() -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse_procfile("node a --store mongodb://nurse:secret@db")
    assert "secret" not in str(refused.value)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="a text file that can be read"):
        read_procfile(tmp_path)


def test_a_line_is_name_and_command() -> None:
    assert parse_procfile("node: a: b") == (Line("node", "a: b"),)
