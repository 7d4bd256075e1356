import os
import sqlite3
import stat
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from pymongo.errors import OperationFailure

from bolide.core.bson_codec import to_bson
from bolide.core.errors import ConfigurationError
from bolide.server.stores.base import ChangeKind, IndexSpec
from bolide.server.stores.embedded.database import Entry
from bolide.server.stores.sqlite.file import (
    SQLiteFile,
    check_place,
    open_refusal,
    storage_failure,
)
from bolide.server.stores.sqlite.inspection import inspect_file

NOBODY = 65534


@pytest.fixture
def guarded_folder() -> Iterator[Path]:
    """Give a folder with ``ward.db``, and run the test as a user who may only read both."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "ward.db").touch()
        (folder / "ward.db").chmod(0o444)
        folder.chmod(0o555)
        if user == 0:
            os.seteuid(NOBODY)
        try:
            yield folder
        finally:
            os.seteuid(user)
            folder.chmod(0o755)


def refusal_of(path: Path, mounts: str | None = None) -> str:
    with pytest.raises(ConfigurationError) as caught:
        check_place(path, mounts)
    text = str(caught.value)
    assert text.startswith(f"store is 'sqlite:///{path}', but must be ")
    assert "\n" not in text
    return text


def test_a_new_file_in_a_folder_is_fine(tmp_path: Path) -> None:
    check_place(tmp_path / "new.db")


def test_a_folder_must_exist(tmp_path: Path) -> None:
    assert f"create {tmp_path / 'no'}" in refusal_of(tmp_path / "no" / "ward.db")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert "this is a folder" in refusal_of(tmp_path)


def test_a_network_file_system_is_refused(tmp_path: Path) -> None:
    mounts = f"40 22 0:50 / {tmp_path.resolve()} rw - nfs4 server:/export rw\n"
    text = refusal_of(tmp_path / "ward.db", mounts)
    assert "SQLite is not safe on nfs4" in text
    assert "MongoDB" in text


def test_a_folder_without_permission_is_refused(guarded_folder: Path) -> None:
    assert f"give it {guarded_folder}" in refusal_of(guarded_folder / "new.db")


def test_a_read_only_file_is_refused(guarded_folder: Path) -> None:
    writable = Path(tempfile.mkdtemp())
    link = writable / "ward.db"
    link.symlink_to(guarded_folder / "ward.db")
    assert "change its owner or mode" in refusal_of(link)
    link.unlink()
    writable.rmdir()


def sqlite_error(path: Path, *statements: str, uri: str = "") -> sqlite3.Error:
    connection = sqlite3.connect(f"file:{path}{uri}", uri=True, isolation_level=None, timeout=0)
    *harmless, last = statements
    with closing(connection):
        for statement in harmless:
            connection.execute(statement)
        with pytest.raises(sqlite3.Error) as caught:
            connection.execute(last)
    return caught.value


@pytest.fixture
def database(tmp_path: Path) -> Path:
    path = tmp_path / "other.db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
    return path


@pytest.fixture
def errors(database: Path, tmp_path: Path) -> dict[str, sqlite3.Error]:
    """What SQLite really raises."""
    write = "INSERT INTO t VALUES (randomblob(100000))"
    found = {
        "read-only": sqlite_error(database, write, uri="?mode=ro"),
        "full": sqlite_error(database, "PRAGMA max_page_count = 2", write),
        "other": sqlite_error(database, "SELECT 1 FROM nothing"),
    }
    with closing(sqlite3.connect(database, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        found["busy"] = sqlite_error(database, write)
    rubbish = tmp_path / "rubbish.db"
    rubbish.write_bytes(b"This is a letter and no database at all. " * 100)
    found["no database"] = sqlite_error(rubbish, "SELECT 1 FROM t")
    damaged = tmp_path / "damaged.db"
    damaged.write_bytes(database.read_bytes()[:4096] + b"\xff" * 4096)
    found["damaged"] = sqlite_error(damaged, "SELECT * FROM t")
    return found


def test_each_failure_to_open_names_the_file_and_a_remedy(errors: dict[str, sqlite3.Error]) -> None:
    remedies = {
        "read-only": "change its owner or mode",
        "full": "on a disk with room left",
        "other": "a file that SQLite can use",
        "busy": "close the other program that holds it",
        "no database": "name another or move it away",
        "damaged": "restore a backup",
    }
    for name, remedy in remedies.items():
        text = str(open_refusal(Path("/data/ward.db"), errors[name]))
        assert "sqlite:////data/ward.db" in text
        assert remedy in text
        assert "\n" not in text


def test_each_failure_of_a_running_store_names_the_file_and_a_remedy(
    errors: dict[str, sqlite3.Error],
) -> None:
    remedies = {
        "read-only": "check its mode and the mount",
        "full": "make room and try again",
        "other": "check the disk and the system's log",
        "busy": "close it and try again",
        "no database": "restore a backup",
        "damaged": "restore a backup",
    }
    for name, remedy in remedies.items():
        failure = storage_failure(Path("/data/ward.db"), errors[name])
        assert isinstance(failure, OperationFailure)
        assert "/data/ward.db" in str(failure)
        assert remedy in str(failure)
    full = storage_failure(Path("/data/ward.db"), errors["full"])
    assert full.code == 14031


def test_an_error_of_the_system_is_named() -> None:
    text = str(open_refusal(Path("/data/ward.db"), OSError(28, "No space left on device")))
    assert "No space left on device" in text


def test_a_document_that_is_no_bson_means_damage() -> None:
    text = str(open_refusal(Path("/data/ward.db"), ValueError("no BSON")))
    assert "restore a backup" in text


def entry(id: int) -> Entry:
    return Entry("beds", ChangeKind.INSERT, id, {"_id": id}, to_bson({"_id": id}))


def test_what_was_appended_is_loaded_and_read_on(tmp_path: Path) -> None:
    path = tmp_path / "ward.db"
    index = IndexSpec(keys=(("code", 1), ("ward", -1)), name="i", unique=True, sparse=True)
    entries = [
        entry(1),
        entry(2),
        Entry("beds", ChangeKind.UPDATE, 1, {"_id": 1, "n": 1}, to_bson({"_id": 1, "n": 1})),
        Entry("beds", ChangeKind.DELETE, 2),
        Entry("beds", None, indexes=(index,)),
        Entry("wards", ChangeKind.COLLECTION_LOST),
    ]
    file = SQLiteFile(path, max_bytes=None, history=100)
    file.begin()
    file.append(entries, 0)
    file.commit()
    database = file.load()
    assert database.position == 6
    assert list(database.documents("beds")) == [{"_id": 1, "n": 1}]
    assert database.indexes("beds") == (index,)
    read = file.read_on(0)
    assert read is not None
    assert [(one.collection, one.kind, one.id, one.after, one.indexes) for one in read] == [
        (one.collection, one.kind, one.id, one.after, one.indexes) for one in entries
    ]
    assert file.read_on(6) == []
    file.close()
    again = SQLiteFile(path, max_bytes=None, history=100)
    assert again.load().position == 6
    again.close()


def test_old_changes_are_trimmed_and_their_numbers_are_not_used_again(tmp_path: Path) -> None:
    file = SQLiteFile(tmp_path / "ward.db", max_bytes=None, history=10)
    for id in range(50):
        file.begin()
        file.append([entry(id)], id)
        file.commit()
    assert file.read_on(0) is None
    recent = file.read_on(41)
    assert recent is not None
    assert [one.id for one in recent] == [41, 42, 43, 44, 45, 46, 47, 48, 49]
    assert file.load().position == 50
    file.close()


def test_what_was_rolled_back_never_was(tmp_path: Path) -> None:
    file = SQLiteFile(tmp_path / "ward.db", max_bytes=None, history=10)
    file.begin()
    file.append([entry(1)], 0)
    file.roll_back()
    file.roll_back()
    assert file.load().position == 0
    file.close()


def test_the_file_is_private_durable_and_forgets_what_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "ward.db"
    file = SQLiteFile(path, max_bytes=None, history=1)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    name = "Ada Lovelace " * 10
    document = {"_id": 1, "name": name}
    file.begin()
    file.append([Entry("beds", ChangeKind.INSERT, 1, document, to_bson(document))], 0)
    file.commit()
    file.begin()
    file.append([Entry("beds", ChangeKind.DELETE, 1), entry(2), entry(3)], 1)
    file.commit()
    file.close()
    # Closing the last connection writes the log back into the file.
    assert b"Ada Lovelace" not in path.read_bytes()
    assert not path.with_name("ward.db-wal").exists()


def refused_file(path: Path) -> str:
    with pytest.raises(ConfigurationError) as caught:
        SQLiteFile(path, max_bytes=None, history=10)
    assert str(path) in str(caught.value)
    return str(caught.value)


def test_a_page_that_is_overwritten_is_told_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "ward.db"
    SQLiteFile(path, max_bytes=None, history=10).close()
    content = bytearray(path.read_bytes())
    content[4096 * 3 : 4096 * 4] = bytes(4096)
    path.write_bytes(content)
    text = refused_file(path)
    assert "an undamaged database: restore a backup (" in text
    assert "\n" not in text
    assert not any("\n" in problem for problem in inspect_file(path).problems)


def test_the_database_of_another_program_is_refused_and_untouched(database: Path) -> None:
    before = database.read_bytes()
    assert "another program's database" in refused_file(database)
    assert database.read_bytes() == before


def test_a_file_of_a_newer_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ward.db"
    SQLiteFile(path, max_bytes=None, history=10).close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 99")
    text = refused_file(path)
    assert "this is 99: upgrade Bolide" in text


def test_a_file_with_a_damaged_page_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ward.db"
    file = SQLiteFile(path, max_bytes=None, history=1000)
    file.begin()
    file.append([entry(id) for id in range(500)], 0)
    file.commit()
    file.close()
    with closing(sqlite3.connect(path)) as connection:
        [root] = connection.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'documents'"
        ).fetchone()
        [size] = connection.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as raw:
        raw.seek((root - 1) * size)
        raw.write(b"\xff" * 100)
    with pytest.raises((ConfigurationError, sqlite3.DatabaseError)) as caught:
        SQLiteFile(path, max_bytes=None, history=10)
    error = caught.value
    if isinstance(error, sqlite3.DatabaseError):
        error = open_refusal(path, error)
    assert "restore a backup" in str(error)


def test_the_largest_size_is_kept(tmp_path: Path) -> None:
    file = SQLiteFile(tmp_path / "ward.db", max_bytes=100_000, history=10)
    large = {"_id": 1, "scan": b"x" * 200_000}
    file.begin()
    with pytest.raises(sqlite3.OperationalError, match="full"):
        file.append([Entry("beds", ChangeKind.INSERT, 1, large, to_bson(large))], 0)
    file.roll_back()
    file.close()
