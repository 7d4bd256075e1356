"""Real redis-server processes on this machine, in a temporary folder.

A redis-server is found by the variable ``BOLIDE_REDIS_SERVER`` (a file) or on the PATH; Debian has
it in a package of this name. It is Sentinel and a member of a cluster as well.
"""

import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from redis import Redis
from redis.exceptions import RedisError

__all__ = [
    "RedisCluster",
    "RedisSentinel",
    "RedisServer",
    "SentinelServer",
    "find_redis_server",
    "tell",
    "until",
]

_HOST: Final = "127.0.0.1"
_TIMEOUT_S: Final = 30.0
_LOOK_EVERY_S: Final = 0.01
SERVICE: Final = "ward"
"""What the Sentinels call the primary."""


def find_redis_server() -> Path | None:
    """Return the redis-server to run; None if there is none."""
    named = os.environ.get("BOLIDE_REDIS_SERVER") or shutil.which("redis-server")
    return Path(named) if named else None


class RedisServer:
    """One redis-server; it is begun by ``with`` and gone after it.

    Args:
        options: More for its command line, such as ``"--maxmemory", "2mb"``.
        password: Of the default user.
        tls: Files of its certificate, its key and its authority: it then speaks TLS only.
    """

    def __init__(
        self, *options: str, password: str = "", tls: tuple[str, str, str] | None = None
    ) -> None:
        server = find_redis_server()
        assert server is not None, "no redis-server: set BOLIDE_REDIS_SERVER, or install one"
        self.folder = Path(tempfile.mkdtemp(prefix="bolide-redis-", dir=_fast_place()))
        self.port = free_port()
        self.password = password
        self.tls = tls
        self.process: subprocess.Popen[bytes] | None = None
        ports = ["--port", str(self.port)]
        if tls is not None:
            cert, key, authority = tls
            ports = [
                "--port", "0", "--tls-port", str(self.port), "--tls-cert-file", cert,
                "--tls-key-file", key, "--tls-ca-cert-file", authority, "--tls-auth-clients", "no",
            ]  # fmt: skip
        self._command = [
            str(server), *ports, "--bind", _HOST, "--dir", str(self.folder), "--save", "",
            "--appendonly", "no", "--unixsocket", str(self.socket), "--logfile", "redis.log",
            "--repl-diskless-sync-delay", "0",
            *(["--requirepass", password] if password else []), *options,
        ]  # fmt: skip

    def __enter__(self) -> Self:
        self.run()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    @property
    def socket(self) -> Path:
        return self.folder / "redis.sock"

    @property
    def url(self) -> str:
        """The URL of Bolide's setting."""
        who = f":{self.password}@" if self.password else ""
        if self.tls is None:
            return f"redis://{who}{_HOST}:{self.port}"
        return f"rediss://{who}{_HOST}:{self.port}?ssl_ca_certs={self.tls[2]}"

    def run(self) -> None:
        """Start it, and wait until it answers."""
        self.process = subprocess.Popen(
            self._command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )  # fmt: skip

        def answers() -> bool:
            assert self.process is not None
            assert self.process.poll() is None, self.log()
            return bool(tell(self, "PING") == b"PONG")

        until(answers, "redis-server does not answer")

    def kill(self) -> None:
        """End it at once, as a power cut does; what it held is gone."""
        self._signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def freeze(self) -> None:
        """Stop it: its connections stay open and nothing answers."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

    def log(self) -> str:
        file = self.folder / "redis.log"
        return file.read_text(errors="replace")[-2000:] if file.exists() else "no log"

    def client(self) -> "Redis":
        """Return a client of this server."""
        tls: dict[str, Any] = {}
        if self.tls is not None:
            tls = {"ssl": True, "ssl_ca_certs": self.tls[2], "ssl_cert_reqs": ssl.CERT_REQUIRED}
        return Redis(
            _HOST, self.port, password=self.password or None, socket_timeout=10, protocol=2, **tls
        )

    def fill(self) -> None:
        """Let it take nothing more: less memory than it uses, and nothing may be evicted."""
        tell(self, "CONFIG", "SET", "maxmemory", "1")

    def empty(self) -> None:
        """Let it take as much as there is."""
        tell(self, "CONFIG", "SET", "maxmemory", "0")

    def _signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)


class RedisSentinel:
    """A primary, its replica and three Sentinels.

    Args:
        password: Of primary and replica.
    """

    def __init__(self, password: str = "") -> None:
        self._password = password
        self._stack = ExitStack()
        self.sentinels: list[RedisServer] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            auth = ["--masterauth", self._password] if self._password else []
            self.primary = stack.enter_context(RedisServer(*auth, password=self._password))
            self.replica = stack.enter_context(
                RedisServer(
                    "--replicaof", _HOST, str(self.primary.port), *auth, password=self._password
                )
            )
            until(lambda: b"master_link_status:up" in _info(self.replica), "no replica")
            for _ in range(3):
                sentinel = stack.enter_context(SentinelServer())
                for command in (
                    ("MONITOR", SERVICE, _HOST, self.primary.port, 2),
                    ("SET", SERVICE, "down-after-milliseconds", 300),
                    ("SET", SERVICE, "failover-timeout", 2000),
                    *([("SET", SERVICE, "auth-pass", self._password)] if self._password else []),
                ):
                    assert tell(sentinel, "SENTINEL", *command) == b"OK"
                self.sentinels.append(sentinel)
            until(self._is_watched, "the Sentinels do not know each other")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The URL of Bolide's setting."""
        who = f":{self._password}@" if self._password else ""
        hosts = ",".join(f"{_HOST}:{sentinel.port}" for sentinel in self.sentinels)
        return f"redis+sentinel://{who}{hosts}/{SERVICE}"

    def _is_watched(self) -> bool:
        for sentinel in self.sentinels:
            flat = tell(sentinel, "SENTINEL", "MASTER", SERVICE)
            state = dict(zip(flat[::2], flat[1::2], strict=True))
            if state[b"num-other-sentinels"] != b"2" or state[b"num-slaves"] != b"1":
                return False
        return True


class RedisCluster:
    """A cluster of three primaries, with one replica of the first."""

    def __init__(self) -> None:
        self._stack = ExitStack()
        self.members: list[RedisServer] = []

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            options = ["--cluster-enabled", "yes", "--cluster-node-timeout", "500"]
            self.members = [stack.enter_context(RedisServer(*options)) for _ in range(4)]
            bounds = (0, 5461, 10923, 16384)
            for number, member in enumerate(self.members):
                if number < 3:
                    first, last = bounds[number], bounds[number + 1] - 1
                    tell(member, "CLUSTER", "ADDSLOTSRANGE", first, last)
                tell(member, "CLUSTER", "SET-CONFIG-EPOCH", number + 1)
                tell(self.members[0], "CLUSTER", "MEET", _HOST, member.port)
            until(self._is_whole, "the cluster does not come up")
            tell(self.members[3], "CLUSTER", "REPLICATE", tell(self.members[0], "CLUSTER", "MYID"))
            until(lambda: b"master_link_status:up" in _info(self.members[3]), "no replica")
            self._stack = stack.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stack.close()

    @property
    def url(self) -> str:
        """The URL of Bolide's setting."""
        return "redis+cluster://" + ",".join(f"{_HOST}:{m.port}" for m in self.members)

    def owner_of(self, key: str) -> RedisServer:
        """Return the primary that holds a key."""
        slot: int = tell(self.members[0], "CLUSTER", "KEYSLOT", key)
        asked = next(m for m in self.members if m.process is not None and m.process.poll() is None)
        for first, last, primary, *_ in tell(asked, "CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(m for m in self.members if m.port == primary[1])
        raise AssertionError("nobody holds the key")

    def move(self, key: str) -> None:
        """Let another primary hold the slot of a key; nothing may be in it."""
        owner, slot = self.owner_of(key), tell(self.members[0], "CLUSTER", "KEYSLOT", key)
        other = next(member for member in self.members[:3] if member is not owner)
        node = tell(other, "CLUSTER", "MYID")
        for member in (other, owner, *self.members[:3]):
            tell(member, "CLUSTER", "SETSLOT", slot, "NODE", node)

    def _is_whole(self) -> bool:
        return all(
            b"cluster_state:ok" in tell(member, "CLUSTER", "INFO")
            and b"cluster_known_nodes:4" in tell(member, "CLUSTER", "INFO")
            for member in self.members
        )


class SentinelServer(RedisServer):
    """A redis-server that watches others; its settings are in a file that it writes to."""

    def __init__(self, password: str = "") -> None:
        super().__init__(password=password)
        settings = self.folder / "sentinel.conf"
        lines = [f"port {self.port}", f"bind {_HOST}", "logfile redis.log", f"dir {self.folder}"]
        settings.write_text("\n".join([*lines, *([f"requirepass {password}"] if password else [])]))
        self._command = [self._command[0], str(settings), "--sentinel"]


# Replies have the shapes of Redis' protocol.
def tell(server: RedisServer, *command: str | int | bytes) -> Any:
    """Send one command on a connection of its own, and return the answer as it came.

    Raises:
        AssertionError: If the server does not answer within the time.
    """
    deadline = time.monotonic() + _TIMEOUT_S
    while True:
        try:
            with server.client() as opened:
                client: Any = opened
                client.response_callbacks.clear()
                return client.execute_command(*command)
        except (OSError, RedisError):
            if time.monotonic() > deadline:
                raise
            time.sleep(_LOOK_EVERY_S)


def _info(server: RedisServer) -> bytes:
    answer: bytes = tell(server, "INFO", "replication")
    return answer


def until(holds: Callable[[], bool], complaint: str) -> None:
    """Wait for something of other processes, which have no events to wait for."""
    deadline = time.monotonic() + _TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline, complaint
        time.sleep(_LOOK_EVERY_S)


def free_port() -> int:
    """Return a port that nobody listens on, with room for that of a cluster's bus above it."""
    while True:
        with socket.create_server((_HOST, 0)) as one:
            port: int = one.getsockname()[1]
        if port < 55_000:
            return port


def _fast_place() -> str | None:
    """Return memory where there is such a place: no test is about the disk."""
    return "/dev/shm" if os.path.isdir("/dev/shm") else None
