import sqlite3
from contextlib import closing

import pytest

from bolide.server.stores.sqlite.schema import DamagedRow, checksum, upgrade, verify

ROW = ("beds", b"id", b"body")


def test_a_row_is_as_it_was_written_or_damaged() -> None:
    crc = checksum(*ROW)
    verify(*ROW, crc)
    for changed in (("bedz", b"id", b"body"), ("beds", b"ie", b"body"), ("beds", b"id", b"bodz")):
        with pytest.raises(DamagedRow):
            verify(*changed, crc)
    assert checksum("beds", None, None) == checksum("beds", b"", b"")


def test_an_upgrade_that_fails_changes_nothing() -> None:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE documents (ord INTEGER PRIMARY KEY)")
        before = connection.execute("SELECT sql FROM sqlite_master").fetchall()
        with pytest.raises(sqlite3.Error):
            upgrade(connection)
        assert not connection.in_transaction
        assert connection.execute("SELECT sql FROM sqlite_master").fetchall() == before
