"""The measuring tools and the peers: a working copy of ``../shared/perf``, used in place."""

import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["PROJECT", "WORK", "BenchImpossible", "Material", "prepare_material"]

PROJECT = Path(__file__).resolve().parents[2]
WORK = PROJECT / ".bench"
"""Everything a run writes is here; ignored by git."""

_SOURCE = PROJECT.parent / "shared" / "perf"
_NEEDED = ("gcc", "node", "npm", "openssl", "taskset")
_CERTIFICATES_LAST_S = 25 * 86_400  # setup.sh makes them for 30 days


class BenchImpossible(Exception):
    """Something that a bench needs is not on this machine; the text says what."""


@dataclass(frozen=True, slots=True)
class Material:
    """Where the tools are.

    Attributes:
        folder: The working copy.
    """

    folder: Path

    @property
    def load_generator(self) -> Path:
        """``wsload``: opens connections, sends, counts frames, reads the CPU of the measured."""
        return self.folder / "c" / "wsload"

    @property
    def floor(self) -> Path:
        """``wsecho``: what a server in C with epoll and OpenSSL costs."""
        return self.folder / "c" / "wsecho"

    @property
    def node_server(self) -> Path:
        """``srv.js``: the peer on Node."""
        return self.folder / "node" / "srv.js"

    @property
    def prototypes(self) -> tuple[Path, Path]:
        """Python and ``srv.py``: prototypes without DDP, for comparison."""
        return self.folder / "venv" / "bin" / "python", self.folder / "py" / "srv.py"

    @property
    def certificate(self) -> tuple[Path, Path]:
        """Certificate and key of ``bolide.test``, PEM files."""
        return self.folder / "certs" / "node.crt", self.folder / "certs" / "node.key"


def prepare_material(say: Callable[[str], object]) -> Material:
    """Return the working copy, made by the harness's own ``setup.sh`` when there is none.

    Args:
        say: Takes a line before something that takes long.

    Raises:
        BenchImpossible: If ``../shared/perf``, a program or a peer is missing.
    """
    if not (_SOURCE / "setup.sh").is_file():
        raise BenchImpossible(
            f"The benches need {_SOURCE.parent.name}/perf beside the project; it is not there."
        )
    if missing := [name for name in _NEEDED if shutil.which(name) is None]:
        raise BenchImpossible(f"Install {', '.join(missing)}: the peers need it.")
    folder = WORK / "perf"
    ready = folder / "ready"
    if not (ready.is_file() and time.time() - ready.stat().st_mtime < _CERTIFICATES_LAST_S):
        say("Setting up the peers, which takes a minute ...")
        shutil.rmtree(folder, ignore_errors=True)
        log = WORK / "setup.log"
        WORK.mkdir(exist_ok=True)
        with log.open("wb") as output:
            done = subprocess.run(
                ["sh", str(_SOURCE / "setup.sh"), str(folder)],
                stdout=output,
                stderr=subprocess.STDOUT,
                check=False,
            )
        if done.returncode != 0:
            raise BenchImpossible(f"setup.sh could not set up the peers; see {log}.")
        ready.touch()
    material = Material(folder)
    for part in (
        material.load_generator,
        material.floor,
        folder / "node" / "node_modules" / "ws",
        *material.certificate,
    ):
        if not part.exists():
            raise BenchImpossible(f"A peer is missing: {part.relative_to(WORK)}; remove {folder}.")
    return material
