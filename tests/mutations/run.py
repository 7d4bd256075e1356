"""Make each mistake in a copy of the tree, and see whether the tests notice.

``python tests/mutations/run.py [WORDS]`` runs the mutations whose names contain one of the words,
all without words, and prints a table. It ends with 0 if every one was caught; one whose text is
not in the source any more is stale and counts as an error.
"""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.mutations.mutation import Mutation  # noqa: E402
from tests.mutations.mutations import MUTATIONS  # noqa: E402

__all__ = ["Verdict", "apply", "main"]

TIMEOUT_S = 300 * float(os.environ.get("BOLIDE_TESTS_TIMEOUT_FACTOR", "1"))
SCHEDULES = "300"
_TESTS_FAILED = 1  # pytest's exit status; others are errors of its own


class Verdict(Enum):
    """What became of a mutation."""

    CAUGHT = "caught"
    HUNG = "caught (it hung)"
    SURVIVED = "SURVIVED"
    STALE = "STALE"
    BROKEN = "BROKEN"

    @property
    def is_good(self) -> bool:
        """A test noticed it."""
        return self in (Verdict.CAUGHT, Verdict.HUNG)


def apply(mutation: Mutation, root: Path) -> bool:
    """Make the mistake in a tree; False if its text is not there exactly once."""
    path = root / mutation.path
    text = path.read_text() if path.is_file() else ""
    if text.count(mutation.before) != 1 or mutation.before == mutation.after:
        return False
    path.write_text(text.replace(mutation.before, mutation.after))
    return True


def main(words: Sequence[str]) -> int:
    """Run mutations; returns the exit status."""
    chosen = [m for m in MUTATIONS if not words or any(word in m.name for word in words)]
    if not chosen:
        print("No mutation has such a name.")
        return 2
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "tree"
        _copy(copy)
        tests = sorted({test for mutation in chosen for test in mutation.tests})
        print("Without a mutation:", end=" ", flush=True)
        if (status := _pytest(copy, tests)) != 0:
            print(f"the tests fail (pytest ended with {status}); mend them first.")
            return 2
        print("all tests pass.")
        verdicts = [_try(mutation, copy) for mutation in chosen]
    caught = sum(verdict.is_good for verdict in verdicts)
    print(f"{caught} of {len(chosen)} mutations were caught.")
    return 0 if caught == len(chosen) else 1


def _try(mutation: Mutation, root: Path) -> Verdict:
    original = (root / mutation.path).read_text() if (root / mutation.path).is_file() else None
    started_at = time.monotonic()
    if apply(mutation, root):
        status = _pytest(root, mutation.tests)
        verdict = {0: Verdict.SURVIVED, _TESTS_FAILED: Verdict.CAUGHT, None: Verdict.HUNG}.get(
            status, Verdict.BROKEN
        )
    else:
        verdict = Verdict.STALE
    if original is not None:
        (root / mutation.path).write_text(original)
    took_s = time.monotonic() - started_at
    print(
        f"{verdict.value:16} {took_s:4.0f} s  {mutation.name}: {mutation.breaks} ({mutation.path})",
        flush=True,
    )
    return verdict


def _copy(target: Path) -> None:
    """Copy what git knows of, as it is in the working tree."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others"]
    listed = subprocess.run(
        [*command, "--exclude-standard"], check=True, capture_output=True, text=True
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target / name)


def _pytest(root: Path, tests: Iterable[str]) -> int | None:
    """Run tests in a tree; returns the exit status, None if they do not come to an end."""
    # The tree's own packages, not those that are installed.
    sources = ["", "core", "server", "balancer", "client_sdk/python", "ops", "examples"]
    environment = {
        **os.environ,
        "BOLIDE_TESTS_SCHEDULES": os.environ.get("BOLIDE_TESTS_SCHEDULES", SCHEDULES),
        "BOLIDE_TESTS_SHRINK": "0",
        "PYTHONPATH": os.pathsep.join(str(root / source) for source in sources),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    try:
        ended = subprocess.run(
            command,
            cwd=root,
            env=environment,
            timeout=TIMEOUT_S,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return None
    return ended.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
