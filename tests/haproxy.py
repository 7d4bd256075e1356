"""A real haproxy on this machine, in front of one node.

It is found by the variable ``BOLIDE_HAPROXY`` (a file) or on the PATH; Debian has it in a package
of this name.
"""

import os
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Final, Self

__all__ = ["HAProxy", "find_haproxy", "haproxy_version"]

_TIMEOUT_S: Final = 30.0
# Nothing is set but what it does not start without, and the field that every guide adds. All that a
# client has to say is there at once, so the shortest silence is its end.
_CONFIGURATION: Final = """\
global
    nbthread 1
defaults
    mode http
    timeout connect 5s
    timeout client 50ms
    timeout server 2s
    option forwardfor
frontend clients
    bind fd@{listener}
    default_backend nodes
backend nodes
    http-reuse never
    server node 127.0.0.1:{node_port}
"""


def find_haproxy() -> Path | None:
    """Return the haproxy to run; None if there is none."""
    # Debian puts it where only root looks for commands.
    found = os.environ.get("BOLIDE_HAPROXY") or shutil.which(
        "haproxy", path=f"{os.environ['PATH']}:/usr/sbin"
    )
    return Path(found) if found else None


def haproxy_version() -> str:
    """Return major and minor number of the haproxy, such as ``2.6``."""
    command = [str(find_haproxy()), "-v"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=True)
    return ".".join(said.stdout.split()[2].split(".")[:2])


class HAProxy:
    """One haproxy; it is begun by ``with`` and gone after it.

    Args:
        node_port: Of the node behind it, on this machine.

    Attributes:
        port: Where it listens, on this machine.
    """

    def __init__(self, node_port: int) -> None:
        self._node_port = node_port
        # It inherits the socket, so it takes connections as soon as there is a port.
        self._listener = socket.create_server(("127.0.0.1", 0))
        # It gets a connection with its first bytes.
        self._listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 10)
        self.port: int = self._listener.getsockname()[1]
        self._folder = tempfile.TemporaryDirectory(prefix="bolide-haproxy-")

    def __enter__(self) -> Self:
        file = Path(self._folder.name, "haproxy.cfg")
        listener = self._listener.fileno()
        file.write_text(_CONFIGURATION.format(listener=listener, node_port=self._node_port))
        self._process = subprocess.Popen(
            [str(find_haproxy()), "-db", "-q", "-f", str(file)],
            pass_fds=[listener],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._listener.close()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.wait(_TIMEOUT_S)
        self._folder.cleanup()
