"""A look at a database file that leaves nothing beside it."""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from bolide.server.stores.sqlite.schema import APPLICATION_ID

__all__ = ["connect_to_look", "is_anothers"]


def connect_to_look(path: Path) -> sqlite3.Connection:
    """Open a database file to read it only.

    Args:
        path: Absolute path of the file.

    Raises:
        sqlite3.Error: If SQLite cannot open it.
    """
    # Without a log nobody has it open, and looking leaves no files beside it.
    is_alone = not path.with_name(f"{path.name}-wal").exists()
    mode = "immutable=1" if is_alone else "mode=ro"
    address = f"file:{quote(str(path))}?{mode}"
    return sqlite3.connect(address, uri=True, isolation_level=None, timeout=5)


def is_anothers(path: Path) -> bool:
    """Tell whether a file is certainly the database of another program.

    A file that does not exist or is empty is not, for the first node to open it makes a store of
    it. While that happens it may be looked at: the mark of a Bolide store and the list of its
    tables are on one page of the file, so they appear together.

    Args:
        path: Absolute path of the file.

    Raises:
        sqlite3.Error: If SQLite cannot read it.
    """
    # Through SQLite only: closing a file of our own would let go of the locks of this process.
    if not path.exists() or path.stat().st_size == 0:
        return False
    with closing(connect_to_look(path)) as connection:
        connection.execute("BEGIN")
        [owner] = connection.execute("PRAGMA application_id").fetchone()
        [version] = connection.execute("PRAGMA user_version").fetchone()
        [tables] = connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
    return owner != APPLICATION_ID and (owner, version, tables) != (0, 0, 0)
