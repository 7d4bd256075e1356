"""Look at a database file without changing it, while nodes use it or after it was damaged."""

import shutil
import sqlite3
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from bolide.server.stores.sqlite.filesystem import file_system_of, read_mounts
from bolide.server.stores.sqlite.look import connect_to_look
from bolide.server.stores.sqlite.schema import APPLICATION_ID, SCHEMA_VERSION, checksum
from bolide.server.stores.sqlite.wakeup import listening_processes

__all__ = ["CollectionSize", "FileReport", "inspect_file"]

_MAX_PROBLEMS: Final = 10
_WITHOUT_CHECKSUMS: Final = 1

_RESTORE: Final = "stop all nodes, keep the file, restore a backup"
_NAME_ANOTHER: Final = "name another file as the store, or move this one away"


@dataclass(frozen=True, slots=True)
class CollectionSize:
    """How much is in a collection.

    Attributes:
        name: Its name.
        documents: How many documents.
        bytes: Their BSON together.
    """

    name: str
    documents: int
    bytes: int


@dataclass(slots=True, kw_only=True)
class FileReport:
    """What a database file is like; nothing in it comes from a document.

    Attributes:
        path: The file.
        exists: It is there.
        problems: What is wrong with it, in words for an operator; empty if it is sound.
        remedy: What to do about them.
        is_new: There is nothing in it, and the first node begins a store.
        file_bytes: Size of the file.
        log_bytes: Size of the log beside it, 0 if there is none.
        free_bytes: Room left on the disk.
        file_system: Type of the file system, such as ``ext4``; None if it is not known.
        processes: Ids of the processes that have the file open and can be woken.
        format: Version of its tables; None if it cannot be read.
        position: Number of the last change.
        oldest: Number of the oldest change that is kept; None if none is.
        collections: By name.
    """

    path: Path
    exists: bool
    problems: list[str] = field(default_factory=list[str])
    remedy: str = _RESTORE
    is_new: bool = False
    file_bytes: int = 0
    log_bytes: int = 0
    free_bytes: int = 0
    file_system: str | None = None
    processes: list[int] = field(default_factory=list[int])
    format: int | None = None
    position: int = 0
    oldest: int | None = None
    collections: list[CollectionSize] = field(default_factory=list[CollectionSize])


def inspect_file(path: Path) -> FileReport:
    """Look at a database file; it is only read, and nodes may go on meanwhile.

    Args:
        path: Absolute path; the folder exists.
    """
    log = path.with_name(f"{path.name}-wal")
    report = FileReport(
        path=path,
        exists=path.is_file(),
        free_bytes=shutil.disk_usage(path.parent).free,
        file_system=file_system_of(path.resolve(), read_mounts()),
        processes=listening_processes(path.with_name(f"{path.name}-wake")),
    )
    if not report.exists:
        return report
    report.file_bytes = path.stat().st_size
    report.log_bytes = log.stat().st_size if log.exists() else 0
    try:
        with closing(connect_to_look(path)) as connection:
            _examine(connection, report)
    except sqlite3.Error as error:
        report.problems.append(f"SQLite cannot read it: {error}")
        # Only what SQLite itself raised has a code; a text that is not UTF-8 has none.
        if getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_NOTADB:
            report.remedy = _NAME_ANOTHER
    return report


def _examine(connection: sqlite3.Connection, report: FileReport) -> None:
    # All that follows is of one moment.
    connection.execute("BEGIN")
    [owner] = connection.execute("PRAGMA application_id").fetchone()
    [report.format] = connection.execute("PRAGMA user_version").fetchone()
    [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    if (owner, report.format, tables) == (0, 0, 0):
        report.is_new = True
        return
    if owner != APPLICATION_ID:
        report.problems.append("it is another program's database")
        report.remedy = _NAME_ANOTHER
        return
    if report.format is not None and report.format > SCHEMA_VERSION:
        report.problems.append(
            f"a newer Bolide wrote it: format {report.format}, this one knows {SCHEMA_VERSION}"
        )
        report.remedy = "install that version of Bolide"
        return
    found = connection.execute(f"PRAGMA integrity_check({_MAX_PROBLEMS})").fetchall()
    report.problems += [" ".join(problem.split()) for (problem,) in found if problem != "ok"]
    counted = connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'changes'")
    [report.position] = counted.fetchone() or (0,)
    [report.oldest] = connection.execute("SELECT min(seq) FROM changes").fetchone()
    _examine_documents(connection, report)
    if report.format != _WITHOUT_CHECKSUMS:
        _examine_others(connection, report)


def _examine_documents(connection: sqlite3.Connection, report: FileReport) -> None:
    sizes: dict[str, list[int]] = {}
    damaged: dict[str, int] = {}
    crc = "NULL" if report.format == _WITHOUT_CHECKSUMS else "crc"
    for name, id, body, stored in connection.execute(
        f"SELECT collection, id, body, {crc} FROM documents"
    ):
        size = sizes.setdefault(name, [0, 0])
        size[0] += 1
        size[1] += len(body)
        if stored is not None and checksum(name, id, body) != stored:
            damaged[name] = damaged.get(name, 0) + 1
    report.collections = [CollectionSize(name, *size) for name, size in sorted(sizes.items())]
    report.problems += [
        f"{count} documents of the collection {name} are not as they were written"
        for name, count in damaged.items()
    ]


def _examine_others(connection: sqlite3.Connection, report: FileReport) -> None:
    changes = sum(
        checksum(f"{seq}{kind}{name}", id, body) != crc
        for seq, kind, name, id, body, crc in connection.execute(
            "SELECT seq, kind, collection, id, body, crc FROM changes"
        )
    )
    if changes:
        report.problems.append(f"{changes} of the changes are not as they were written")
    report.problems += [
        f"the indexes of the collection {name} are not as they were written"
        for name, body, crc in connection.execute("SELECT collection, body, crc FROM indexes")
        if checksum(name, None, body) != crc
    ]
