"""Machines that are namespaces of this one: each with a network, files and processes of its own.

A machine has an address on a :class:`tests.network.Network`, its own ``/etc``, ``/opt``, ``/run``,
``/srv`` (its home) and ``/var/log``, and sees no process but its own. What stands for ssh is a
command ``scp`` that copies between their files. All other programs are those of this machine.
"""

import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final, Self

from tests.network import Network, Place

__all__ = ["Machine", "Machines", "why_no_machines"]

_OWN: Final = ("opt", "run", "srv", "var/log")
_TIMEOUT_S: Final = 180 * float(os.environ.get("BOLIDE_TESTS_TIMEOUT_FACTOR", "1"))
# Takes the place of init: waits for nothing, and leaves no dead process behind.
_INIT: Final = (
    "import signal; signal.signal(signal.SIGCHLD, signal.SIG_IGN); print('up', flush=True)\n"
    "while True: signal.pause()"
)
_SCP: Final = """#!/bin/sh
# scp FILE... MACHINE:[PATH]: copy to the files of another machine
set -eu
for to in "$@"; do :; done
path=${to#*:}
case "$path" in /*) ;; *) path=/srv/$path ;; esac
target=/mnt/all/${to%%:*}$path
while [ $# -gt 1 ]; do cp -p "$1" "$target"; shift; done
"""


class Machine:
    """One machine; it runs as long as :class:`Machines` does.

    Attributes:
        name: What the others call it.
        files: Its files, seen from outside: ``etc``, ``opt``, ``run`` ...
        variables: More for the environment of its commands.
    """

    def __init__(self, name: str, place: Place, files: Path, init: "subprocess.Popen[str]") -> None:
        self.name = name
        self.files = files
        self.variables: dict[str, str] = {}
        self._place = place
        self._init = init

    def command(self, words: Iterable[str]) -> list[str]:
        """Return a command that runs there."""
        enter = ["nsenter", "--target", str(_child(self._init.pid)), "--mount", "--net", "--pid"]
        # The working directory is entered last: from outside it would be another one.
        return [*enter, "--", "/bin/sh", "-c", 'cd /srv && exec "$@"', "sh", *words]

    def run(self, script: str) -> str:
        """Run the lines of a script as somebody would type them; return what they said.

        Raises:
            AssertionError: If one of them fails.
        """
        done = subprocess.run(
            self.command(["/bin/sh", "-e", "-c", script]),
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT_S,
        )
        assert done.returncode == 0, f"on {self.name}: {done.returncode}\n{script}\n{done.stdout}"
        return done.stdout

    @property
    def environment(self) -> Mapping[str, str]:
        """That of a fresh login."""
        own = f"/opt/bin:{Path(sys.executable).parent}"
        kept = ("LANG", "COVERAGE_PROCESS_START", "COVERAGE_FILE", "PYTHONDONTWRITEBYTECODE")
        return {
            **{name: os.environ[name] for name in kept if name in os.environ},
            **self.variables,
            "HOME": "/srv",
            "PATH": f"{own}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
            "TERM": "dumb",
        }


class Machines:
    """Several machines on one network; they begin with ``with`` and are gone after it.

    Args:
        folder: For their files.
        addresses: Name of each -> its address.
        hosts: Further names -> address, which all of them know.
        network: With one place for each, in the same order; begun.

    Attributes:
        store: URL of the database that they share.
    """

    def __init__(
        self,
        folder: Path,
        addresses: Mapping[str, str],
        hosts: Mapping[str, str],
        network: Network,
    ) -> None:
        self._folder = folder
        self._addresses = addresses
        self._hosts = {**addresses, **hosts}
        self._network = network
        self.store = ""
        self._stack = ExitStack()
        self._machines: dict[str, Machine] = {}

    def __getitem__(self, name: str) -> Machine:
        return self._machines[name]

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for name, place in zip(self._addresses, self._network.others, strict=False):
                self._machines[name] = self._start(stack, name, place)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _start(self, stack: ExitStack, name: str, place: Place) -> Machine:
        address = self._addresses[name]
        subprocess.run(
            ["ip", "-n", place.namespace, "address", "add", f"{address}/24", "dev", place.device],
            check=True,
        )
        files = self._folder / name
        for part in (*_OWN, "opt/bin"):
            (files / part).mkdir(parents=True, exist_ok=True)
        scp = files / "opt" / "bin" / "scp"
        scp.write_text(_SCP)
        scp.chmod(0o755)
        # A copy and no overlay, which some file systems do not take.
        shutil.copytree(
            "/etc", files / "etc", symlinks=True, ignore_dangling_symlinks=True, dirs_exist_ok=True
        )
        (files / "etc" / "bolide").mkdir(exist_ok=True)
        lines = [f"{address} {host}\n" for host, address in self._hosts.items()]
        (files / "etc" / "hosts").unlink(missing_ok=True)
        (files / "etc" / "hosts").write_text("127.0.0.1 localhost\n" + "".join(lines))
        # All files of all machines, for what stands for scp; these come first, while the folder
        # is still to be seen.
        everything = shlex.quote(str(self._folder))
        mounts = [
            "mount -t tmpfs tmpfs /mnt",
            "mkdir /mnt/all",
            f"mount --bind {everything} /mnt/all",
        ]
        mounts += [f"mount --bind /mnt/all/{name}/{part} /{part}" for part in (*_OWN, "etc")]
        init_words = shlex.join([sys.executable, "-c", _INIT])
        script = " && ".join([*mounts, f"exec {init_words}"])
        init = subprocess.Popen(
            [
                *place.prefix,
                *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
                *("--propagation", "private", "/bin/sh", "-e", "-c", script),
            ],
            stdout=subprocess.PIPE,
            text=True,
        )
        stack.enter_context(init)
        stack.callback(init.kill)
        assert init.stdout is not None
        assert init.stdout.readline() == "up\n"
        return Machine(name, place, files, init)


def why_no_machines() -> str:
    """Say why there can be no such machines here; empty if there can."""
    for command in ("ip", "nsenter", "unshare"):
        if shutil.which(command) is None:
            return f"no command {command}"
    tried = subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "true"],
        capture_output=True,
        text=True,
    )
    return f"namespaces are not allowed here: {tried.stderr.strip()}" if tried.returncode else ""


def _child(pid: int) -> int:
    """Return the process that ``unshare`` forked, the first of its namespace."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0])
