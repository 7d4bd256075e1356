"""The tables of the SQLite store, the checksums of their rows, and how old files get them.

SQLite notices a damaged page only where its own structure is hit; a bit that flips inside a
document would become another bed number. So each row has a CRC-32 of what it says, checked whenever
it is read. Version 1 had none.
"""

import sqlite3
from typing import Final
from zlib import crc32

__all__ = [
    "APPEND",
    "APPLICATION_ID",
    "DELETE",
    "PUT",
    "PUT_INDEXES",
    "READ_ON",
    "SCHEMA",
    "SCHEMA_VERSION",
    "DamagedRow",
    "checksum",
    "upgrade",
    "verify",
]

SCHEMA_VERSION: Final = 2
APPLICATION_ID: Final = int.from_bytes(b"bold")

TABLES: Final = """
CREATE TABLE documents (
    ord INTEGER PRIMARY KEY, collection TEXT NOT NULL, id BLOB NOT NULL, body BLOB NOT NULL,
    crc INTEGER NOT NULL, UNIQUE (collection, id)
);
CREATE TABLE indexes (
    collection TEXT PRIMARY KEY, body BLOB NOT NULL, crc INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE changes (
    seq INTEGER PRIMARY KEY AUTOINCREMENT, kind TEXT NOT NULL, collection TEXT NOT NULL,
    id BLOB, body BLOB, crc INTEGER NOT NULL
);
"""
SCHEMA: Final = f"""
{TABLES}
PRAGMA application_id = {APPLICATION_ID};
PRAGMA user_version = {SCHEMA_VERSION};
"""
PUT: Final = (
    "INSERT INTO documents (collection, id, body, crc) VALUES (?, ?, ?, ?)"
    " ON CONFLICT (collection, id) DO UPDATE SET body = excluded.body, crc = excluded.crc"
)
DELETE: Final = "DELETE FROM documents WHERE collection = ? AND id = ?"
PUT_INDEXES: Final = "REPLACE INTO indexes (collection, body, crc) VALUES (?, ?, ?)"
APPEND: Final = (
    "INSERT INTO changes (seq, kind, collection, id, body, crc) VALUES (?, ?, ?, ?, ?, ?)"
)
READ_ON: Final = (
    "SELECT seq, kind, collection, id, body, crc FROM changes WHERE seq > ? ORDER BY seq"
)

_FROM_1: Final = f"""
BEGIN IMMEDIATE;
ALTER TABLE documents RENAME TO documents_1;
ALTER TABLE indexes RENAME TO indexes_1;
ALTER TABLE changes RENAME TO changes_1;
{TABLES}
INSERT INTO documents
    SELECT ord, collection, id, body, bolide_crc(collection, id, body)
    FROM documents_1 ORDER BY ord;
INSERT INTO indexes
    SELECT collection, body, bolide_crc(collection, NULL, body) FROM indexes_1;
INSERT INTO changes
    SELECT seq, kind, collection, id, body, bolide_crc(seq || kind || collection, id, body)
    FROM changes_1 ORDER BY seq;
DELETE FROM sqlite_sequence WHERE name = 'changes';
UPDATE sqlite_sequence SET name = 'changes' WHERE name = 'changes_1';
DROP TABLE documents_1;
DROP TABLE indexes_1;
DROP TABLE changes_1;
PRAGMA user_version = {SCHEMA_VERSION};
COMMIT;
"""


class DamagedRow(ValueError):
    """A row is not as it was written."""


def checksum(name: str, id: bytes | None, body: bytes | None) -> int:
    """Return what a row must have as its checksum.

    Args:
        name: Its collection; of a change, number, kind and collection one after the other.
        id: The ``_id`` as BSON, None if it has none.
        body: The document or the indexes as BSON, None if it has none.
    """
    return crc32(body or b"", crc32(id or b"", crc32(name.encode())))


def verify(name: str, id: bytes | None, body: bytes | None, crc: int) -> None:
    """Check a row that was read.

    Raises:
        DamagedRow: If it is not as it was written; the text tells nothing of it.
    """
    if checksum(name, id, body) != crc:
        raise DamagedRow("a row differs from its checksum")


def upgrade(connection: sqlite3.Connection) -> None:
    """Give a file of version 1 its checksums; the caller holds the file lock.

    Raises:
        sqlite3.Error: If it cannot be done; then nothing was.
    """
    connection.create_function("bolide_crc", 3, checksum, deterministic=True)
    try:
        connection.executescript(_FROM_1)
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
