"""The database file of the SQLite store: its checks, its tables, its rows.

Each commit writes the documents it changed and, in the same SQLite transaction, one row per change
into ``changes``. ``seq`` counts the changes without gaps and is the store's position. One SELECT
sees whole commits only, so what another process reads never ends within a transaction.
"""

import os
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from pymongo.errors import OperationFailure

from bolide.core.bson_codec import from_bson, to_bson
from bolide.core.errors import ConfigurationError
from bolide.core.values import Document
from bolide.server.limits import STORE_MAX_BYTES
from bolide.server.stores.base import ChangeKind, IndexSpec
from bolide.server.stores.embedded.database import Database, Entry
from bolide.server.stores.embedded.errors import OUT_OF_DISK_SPACE, UNKNOWN_ERROR
from bolide.server.stores.sqlite.filesystem import NETWORK_FILE_SYSTEMS, file_system_of, read_mounts
from bolide.server.stores.sqlite.look import is_anothers
from bolide.server.stores.sqlite.schema import (
    APPEND,
    APPLICATION_ID,
    DELETE,
    PUT,
    PUT_INDEXES,
    READ_ON,
    SCHEMA,
    SCHEMA_VERSION,
    DamagedRow,
    checksum,
    upgrade,
    verify,
)

__all__ = [
    "HISTORY_CHANGES",
    "OPTION",
    "SQLiteFile",
    "check_owner",
    "check_place",
    "open_refusal",
    "storage_failure",
]

HISTORY_CHANGES: Final = 10_000
"""Changes that stay in the file; a process that is further behind reads everything again."""

OPTION: Final = "store"
# Other programs may hold SQLite's own locks for a moment; processes of Bolide have the lock file.
BUSY_TIMEOUT_S: Final = 5.0

KINDS: Final[dict[str, ChangeKind | None]] = {
    "insert": ChangeKind.INSERT,
    "update": ChangeKind.UPDATE,
    "replace": ChangeKind.REPLACE,
    "delete": ChangeKind.DELETE,
    "drop": ChangeKind.COLLECTION_LOST,
    "indexes": None,
}
NAMES: Final = {kind: name for name, kind in KINDS.items()}


def check_place(path: Path, mounts: str | None = None) -> None:
    """Check that a database can be at a path.

    Args:
        path: Absolute path of the file.
        mounts: As in :func:`file_system_of`; None is the kernel's own list.

    Raises:
        ConfigurationError: If it cannot; it says what would work.
    """
    folder = path.parent
    if not folder.is_dir():
        raise _refusal(path, f"in a folder that exists: create {folder}")
    if path.is_dir():
        raise _refusal(path, "a file, and this is a folder")
    kind = file_system_of(path.resolve(), read_mounts() if mounts is None else mounts)
    if kind in NETWORK_FILE_SYSTEMS:
        raise _refusal(
            path, f"on a local disk: SQLite is not safe on {kind}; MongoDB serves several machines"
        )
    if not _may(folder, os.W_OK | os.X_OK):
        raise _refusal(path, f"in a folder that this user may write to: give it {folder}")
    if path.exists() and not _may(path, os.R_OK | os.W_OK):
        raise _refusal(path, "a file that this user may read and write: change its owner or mode")


def check_owner(path: Path) -> None:
    """Refuse what is certainly another program's file, and make nothing beside it.

    :class:`SQLiteFile` looks again under the file lock, and is strict then.

    Args:
        path: Absolute path of the file; there may be none yet.

    Raises:
        ConfigurationError: If it is a database of another program.
        sqlite3.Error: If it is no database at all.
    """
    try:
        found = is_anothers(path)
    except (OSError, sqlite3.Error) as error:
        if isinstance(error, sqlite3.Error) and _name_of(error) == "SQLITE_NOTADB":
            raise
        return  # another process may be about to open or close it: the second look tells
    if found:
        raise _refused_as_anothers(path)


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def open_refusal(path: Path, error: OSError | sqlite3.Error | ValueError) -> ConfigurationError:
    """Turn an error on the way to an open store into one with a remedy."""
    if isinstance(error, DamagedRow):
        return _damaged(path, str(error))
    if isinstance(error, ValueError):
        return _damaged(path, "a document in it is no BSON")
    if isinstance(error, OSError):
        return _refusal(path, f"a file that this user can create or open: {error.strerror}")
    name = _name_of(error)
    if name == "SQLITE_NOTADB":
        return _refusal(
            path, "a database file; this file is not a database: name another or move it away"
        )
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN")):
        return _refusal(path, "a file that this user may write to: change its owner or mode")
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return _refusal(path, "used by Bolide only: close the other program that holds it")
    if name == "SQLITE_FULL":
        return _refusal(path, "on a disk with room left")
    if name.startswith("SQLITE_CORRUPT"):
        return _damaged(path, str(error))
    return _refusal(path, f"a file that SQLite can use: {error} ({name})")


def storage_failure(path: Path, error: sqlite3.Error | DamagedRow) -> OperationFailure:
    """Turn what is wrong with a running store into an error with a remedy."""
    name = "SQLITE_CORRUPT" if isinstance(error, DamagedRow) else _name_of(error)
    if name == "SQLITE_FULL":
        return OperationFailure(
            f"Nothing was written, because the disk of {path} is full or the file has reached its"
            " largest size: make room and try again.",
            OUT_OF_DISK_SPACE,
        )
    if name.startswith(("SQLITE_NOTADB", "SQLITE_CORRUPT")):
        text = "is damaged: stop all nodes and restore a backup"
    elif name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        text = "is held by another program: close it and try again"
    elif name.startswith("SQLITE_READONLY"):
        text = "cannot be written any more: check its mode and the mount"
    else:
        text = "cannot be used: check the disk and the system's log"
    return OperationFailure(f"The database file {path} {text} ({name}).", UNKNOWN_ERROR)


class SQLiteFile:
    """An open database file; used in one thread only."""

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int | None,
        history: int,
        store_max_bytes: int = STORE_MAX_BYTES,
    ) -> None:
        """Open a file that :func:`check_place` accepted; the caller holds the file lock.

        Args:
            path: Absolute path of the file; created for this user only if it does not exist.
            max_bytes: Largest size of the file, bytes; None is what the disk holds.
            history: Changes that stay in the file.
            store_max_bytes: Most bytes of BSON of all documents together.

        Raises:
            ConfigurationError: If it is not a sound store of this version or an older one, or
                holds more than ``store_max_bytes``.
            OSError: If the file cannot be opened.
            sqlite3.Error: If SQLite cannot use it.
        """
        self._path = path
        self._history = history
        self._store_max_bytes = store_max_bytes
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        self._connection = sqlite3.connect(path, timeout=BUSY_TIMEOUT_S, isolation_level=None)
        try:
            self._prepare(max_bytes)
        except BaseException:
            self._connection.close()
            raise

    def _prepare(self, max_bytes: int | None) -> None:
        execute = self._connection.execute
        # Nothing is written before it is certain whose file this is.
        owner, version = self._pragma("application_id"), self._pragma("user_version")
        [tables] = execute("SELECT count(*) FROM sqlite_master").fetchone()
        is_new = (owner, version, tables) == (0, 0, 0)
        if not is_new and owner != APPLICATION_ID:
            raise _refused_as_anothers(self._path)
        if version > SCHEMA_VERSION:
            raise _refusal(
                self._path,
                f"of version {SCHEMA_VERSION} or older; this is {version}: upgrade Bolide",
            )
        execute("PRAGMA journal_mode = WAL")
        execute("PRAGMA synchronous = FULL")
        execute("PRAGMA secure_delete = ON")
        if max_bytes is not None:
            execute(f"PRAGMA max_page_count = {max_bytes // self._pragma('page_size')}")
        if is_new:
            self._connection.executescript(f"BEGIN IMMEDIATE; {SCHEMA} COMMIT;")
        elif (problem := self._pragma("integrity_check(1)")) != "ok":
            raise _damaged(self._path, problem)
        else:
            if version < SCHEMA_VERSION:
                upgrade(self._connection)
            self._check_size()

    def _check_size(self) -> None:
        # Of a length alone SQLite reads no more than the head of a row.
        [size] = self._connection.execute(
            "SELECT coalesce(sum(length(body)), 0) FROM documents"
        ).fetchone()
        if size > self._store_max_bytes:
            raise ConfigurationError(
                "store_max_bytes",
                self._store_max_bytes,
                f"at least {size}, the size of the documents in {self._path}, on machines with five"
                " times as much memory for each node; or move to MongoDB",
            )

    def load(self) -> Database:
        """Read everything that is committed.

        Raises:
            sqlite3.Error: If SQLite cannot read it.
            ValueError: If a document in it is no BSON.
        """
        if self._connection.in_transaction:
            return self._load()
        # All SELECTs of one transaction see the same moment.
        self._connection.execute("BEGIN")
        try:
            return self._load()
        finally:
            self.roll_back()

    def _load(self) -> Database:
        execute = self._connection.execute
        counted = execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'").fetchone()
        database = Database(counted[0] if counted else 0, max_size=self._store_max_bytes)
        rows = execute("SELECT collection, id, body, crc FROM documents ORDER BY ord")
        for collection, id_body, body, crc in rows:
            verify(collection, id_body, body, crc)
            database.load(collection, from_bson(body), len(body))
        for collection, body, crc in execute("SELECT collection, body, crc FROM indexes"):
            verify(collection, None, body, crc)
            database.load_indexes(collection, _indexes_of(body))
        return database

    def data_version(self) -> int:
        """Return a number that differs after another connection committed."""
        version: int = self._pragma("data_version")
        return version

    def read_on(self, position: int) -> list[Entry] | None:
        """Return the changes after a position; None if they are not in the file any more.

        Raises:
            OperationFailure: If a newer Bolide has taken the file over.
            DamagedRow: If a change is not as it was written.
            sqlite3.Error: If SQLite cannot read them.
        """
        self._check_version()
        rows: list[tuple[int, str, str, bytes | None, bytes | None, int]]
        rows = self._connection.execute(READ_ON, (position,)).fetchall()
        if rows and rows[0][0] != position + 1:
            return None
        return [_entry(*row) for row in rows]

    def _check_version(self) -> None:
        version = self._pragma("user_version")
        if version != SCHEMA_VERSION:
            raise OperationFailure(
                f"The database file {self._path} was taken over by another version of Bolide"
                f" (format {version}): stop this node and start it with that version.",
                UNKNOWN_ERROR,
            )

    def begin(self) -> None:
        """Begin to write; the caller holds the file lock."""
        self._connection.execute("BEGIN IMMEDIATE")

    def append(self, entries: Sequence[Entry], position: int) -> None:
        """Write changes, the first one after ``position``."""
        execute = self._connection.execute
        for seq, entry in enumerate(entries, position + 1):
            name, collection = NAMES[entry.kind], entry.collection
            id_body, body = None, entry.body
            if entry.kind is None:
                body = to_bson({"indexes": [_index_fields(index) for index in entry.indexes]})
                execute(PUT_INDEXES, (collection, body, checksum(collection, None, body)))
            elif entry.kind is ChangeKind.COLLECTION_LOST:
                execute("DELETE FROM documents WHERE collection = ?", (collection,))
                execute("DELETE FROM indexes WHERE collection = ?", (collection,))
            else:
                id_body = to_bson({"_id": entry.id})
                if body is None:
                    execute(DELETE, (collection, id_body))
                else:
                    execute(PUT, (collection, id_body, body, checksum(collection, id_body, body)))
            crc = checksum(f"{seq}{name}{collection}", id_body, body)
            execute(APPEND, (seq, name, collection, id_body, body, crc))
        last = position + len(entries)
        step = max(1, self._history // 10)
        if position // step != last // step:
            execute("DELETE FROM changes WHERE seq <= ?", (last - self._history,))

    def commit(self) -> None:
        """Make what was written durable and visible."""
        self._connection.execute("COMMIT")

    def roll_back(self) -> None:
        """Take back what was written since :meth:`begin`."""
        # SQLite has done so by itself after some errors.
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def close(self) -> None:
        """Let go of the file."""
        self._connection.close()

    def _pragma(self, name: str) -> Any:
        """Return the value of a pragma; its type depends on which."""
        [value] = self._connection.execute(f"PRAGMA {name}").fetchone()
        return value


def _entry(
    seq: int, kind: str, collection: str, id_body: bytes | None, body: bytes | None, crc: int
) -> Entry:
    """Make an entry of a row; kind and bodies are as :meth:`SQLiteFile.append` wrote them."""
    verify(f"{seq}{kind}{collection}", id_body, body, crc)
    change = KINDS[kind]
    if change is None and body is not None:
        return Entry(collection, None, indexes=_indexes_of(body))
    # The document's own `_id` is one object with the document.
    after: Document | None = None if body is None else from_bson(body)
    id = after["_id"] if after else from_bson(id_body)["_id"] if id_body else None
    return Entry(collection, change, id, after, body)


def _index_fields(index: IndexSpec) -> Document:
    return {
        "keys": [list(key) for key in index.keys],
        "name": index.name,
        "unique": index.unique,
        "sparse": index.sparse,
    }


def _indexes_of(body: bytes) -> tuple[IndexSpec, ...]:
    return tuple(
        IndexSpec(
            keys=tuple((path, direction) for path, direction in fields["keys"]),
            name=fields["name"],
            unique=fields["unique"],
            sparse=fields["sparse"],
        )
        for fields in from_bson(body)["indexes"]
    )


def _name_of(error: sqlite3.Error) -> str:
    """Return SQLite's name of an error, such as ``SQLITE_FULL``."""
    # Errors that Python's module raises by itself have none.
    return getattr(error, "sqlite_errorname", "SQLITE_ERROR")


def _refused_as_anothers(path: Path) -> ConfigurationError:
    return _refusal(path, "a Bolide store; this is another program's database")


def _damaged(path: Path, how: str) -> ConfigurationError:
    # SQLite puts its findings on several lines.
    return _refusal(path, f"an undamaged database: restore a backup ({' '.join(how.split())})")


def _refusal(path: Path, expected: str) -> ConfigurationError:
    return ConfigurationError(OPTION, f"sqlite:///{path}", expected)
