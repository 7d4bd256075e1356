"""Autobahn's fuzzing client: it runs on Python 2.7 only, so it gets one of its own.

The suite is installed once into a folder beside the virtual environment's own packages; nothing
is installed into the Python 2.7 that is found.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

# What a report holds.
from typing import Any

import pytest

__all__ = ["Autobahn", "serving"]

VERSION = "0.8.2"
_FOLDER = Path(sys.prefix) / f"autobahntestsuite-{VERSION}"
_ECHO = Path(__file__).with_name("echo.py")
_FACTOR = float(os.environ.get("BOLIDE_TESTS_TIMEOUT_FACTOR", "1"))
_INSTALL_TIMEOUT_S = 600 * _FACTOR
_RUN_TIMEOUT_S = 600 * _FACTOR
# `zope.interface` is only found where .pth files are read.
_WSTEST = (
    "import site, sys; site.addsitedir(sys.argv.pop(1));"
    " from autobahntestsuite.wstest import run; run()"
)


class Autobahn:
    """The installed fuzzing client."""

    def __init__(self, python: str, work: Path) -> None:
        self._python = python
        self._work = work

    def report(self, port: int, exclude: Iterable[str]) -> dict[str, dict[str, Any]]:
        """Run all cases but some against a server; returns case -> what happened."""
        specification: dict[str, object] = {
            "outdir": str(self._work / "report"),
            "servers": [{"agent": "bolide", "url": f"ws://127.0.0.1:{port}"}],
            "cases": ["*"],
            "exclude-cases": list(exclude),
            "exclude-agent-cases": {},
        }
        file = self._work / "specification.json"
        file.write_text(json.dumps(specification))
        subprocess.run(
            [self._python, "-c", _WSTEST, str(_FOLDER), "-m", "fuzzingclient", "-s", str(file)],
            cwd=self._work,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_RUN_TIMEOUT_S,
            check=True,
        )
        index = json.loads((self._work / "report" / "index.json").read_text())
        cases: dict[str, dict[str, Any]] = index["bolide"]
        return cases


@contextmanager
def serving(how: str, *files: str) -> Generator[int]:
    """Serve the echo in a process of its own, over TLS with two files; gives its port."""
    command = [sys.executable, str(_ECHO), how, *files]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield int(process.stdout.readline())
        finally:
            process.terminate()


def _candidates() -> Iterator[str]:
    """Give each Python 2.7 that may be here, the wished one first."""
    wished = os.environ.get("BOLIDE_PYTHON27")
    if wished:
        yield wished
    for name in ("python2.7", "python2"):
        if found := shutil.which(name):
            yield found
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for folder in sorted(root.glob("versions/2.7*")):
        yield str(folder / "bin" / "python")


def _python27() -> str | None:
    """Return a Python 2.7 that can install packages, or None."""
    for python in _candidates():
        probe = "import pip, sys; sys.exit(sys.version_info[:2] != (2, 7))"
        try:
            subprocess.run([python, "-c", probe], capture_output=True, check=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return python
    return None


def _install(python: str) -> None:
    """Install the suite, unless an earlier run did."""
    if _FOLDER.exists():
        return
    unfinished = _FOLDER.with_suffix(".unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    command = [python, "-m", "pip", "install", "-q", "--disable-pip-version-check"]
    subprocess.run(
        [*command, "--target", str(unfinished), f"autobahntestsuite=={VERSION}"],
        capture_output=True,
        timeout=_INSTALL_TIMEOUT_S,
        check=True,
    )
    unfinished.rename(_FOLDER)


@pytest.fixture
def autobahn(tmp_path: Path) -> Autobahn:
    python = _python27()
    if python is None:
        pytest.skip("Autobahn needs a Python 2.7 with pip: set BOLIDE_PYTHON27")
    try:
        _install(python)
    except subprocess.SubprocessError:
        if os.environ.get("CI"):
            raise
        pytest.skip("Autobahn's suite could not be installed from PyPI")
    return Autobahn(python, tmp_path)
